"""Compares what is asked with what tools are for, by meaning."""

from collections.abc import Sequence

import numpy as np

from cartrita.providers.embedded.intent import (
    CALCULATOR,
    CLOCK,
    MEMORY,
    SENTIMENT,
    SUMMARY,
    WRITES,
    Open,
    Step,
    Tools,
    Unmet,
    Use,
    filled,
)
from cartrita.providers.embedded.rules import Clause
from cartrita.providers.embedded.spoken import expression
from cartrita.providers.ports import Embedder, Vectors

LEAST_SCORE = 0.5
LEAST_MARGIN = 0.1
"""Below these the best tool is a guess: of 40 tries, all misroutes were."""

_WRITER = ""
"""Stands for a language model among the tools."""

_EXAMPLES = {
    _WRITER: (
        "write a poem",
        "tell me a joke",
        "explain how this works",
        "translate this into French",
        "give me advice",
        "write a program",
    ),
    CALCULATOR: ("calculate a sum", "how much is a third of ninety", "multiply two numbers"),
    CLOCK: ("what time is it", "what is the date today", "which day of the week is it"),
    MEMORY: ("what do you remember about me", "search my notes", "what did we say earlier"),
    SUMMARY: ("summarize this text", "make this text shorter"),
    SENTIMENT: ("is this text positive or negative", "what is the mood of this review"),
}


class Likeness:
    """Ranks tools for a clause by the nearest of their example requests.

    Vectors of examples are kept: they depend on the text alone.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[tuple[str, ...], Vectors] = {}

    async def settled(self, step: Open, tools: Tools) -> Step:
        """Return what an open request means; the same step when nothing comes near."""
        clause = Clause(step.clause, None, tools)
        if clause.creative:
            return Unmet(step.clause, WRITES, needs_model=True)
        ranked = await self._ranked(step.clause, tools)
        (score, best), (second, other) = ranked[0], ranked[1]
        if score < LEAST_SCORE:
            return step
        if best == _WRITER:
            return Unmet(step.clause, WRITES, needs_model=True)
        if score - second < LEAST_MARGIN:
            also = f" or `{other}`" if other != _WRITER else ""
            return Unmet(step.clause, f"did you mean `{best}`{also}? Write `{best}: …`")
        return _with_arguments(best, clause, tools)

    async def _ranked(self, text: str, tools: Tools) -> list[tuple[float, str]]:
        """Return the tools and their scores, best first, a language model among them."""
        vector = (await self._embedder.embed([text]))[0]
        scored = []
        for name in (_WRITER, *tools):
            examples = _EXAMPLES.get(name) or (tools[name].description,)
            scored.append((float(np.max(await self._vectors(examples) @ vector)), name))
        return sorted(scored, reverse=True)

    async def _vectors(self, examples: Sequence[str]) -> Vectors:
        key = tuple(examples)
        if key not in self._known:
            if len(self._known) >= 256:  # noqa: PLR2004 - tools of other agents come and go
                self._known.clear()
            self._known[key] = await self._embedder.embed(key)
        return self._known[key]


def _with_arguments(name: str, clause: Clause, tools: Tools) -> Step:
    """Use the tool that was meant, when its argument stands in the clause."""
    match name:
        case "calculator":
            found = expression(clause.words)
            return filled(tools[name], clause.text, found or "")
        case "search_memory":
            return Use(clause.text, name, {"query": clause.text})
        case "summarize" | "sentiment" | "current_time":
            return filled(tools[name], clause.text, "")
        case _:
            return filled(tools[name], clause.text, clause.text)
