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
    filled,
)
from cartrita.providers.embedded.rules import LONGEST_CLAUSE, Clause
from cartrita.providers.embedded.spoken import expression
from cartrita.providers.ports import Embedder, Vectors

LEAST_SCORE = 0.5
LEAST_MARGIN = 0.1
"""Below either, the best tool is a guess."""

MOST_KNOWN = 256
"""Descriptions whose vectors are kept; tools come and go."""

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
        if len(step.clause) > LONGEST_CLAUSE:
            return step
        clause = Clause(step.clause, None, tools)
        ranked = await self._ranked(step.clause, tools)
        (score, best), (second, other) = ranked[0], ranked[-1 if len(ranked) == 1 else 1]
        if clause.creative or (score >= LEAST_SCORE and best == _WRITER):
            return Unmet(step.clause, WRITES, needs_model=True)
        if score < LEAST_SCORE:
            return step
        if score - second < LEAST_MARGIN:
            also = f" or `{other}`" if other != _WRITER else ""
            return Unmet(step.clause, f"did you mean `{best}`{also}? Write `{best}: …`")
        return filled(tools[best], step.clause, _argument(best, clause))

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
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[key] = await self._embedder.embed(key)
        return self._known[key]


def _argument(name: str, clause: Clause) -> str:
    """Return what of a clause goes to the tool that was meant."""
    if name == CALCULATOR:
        return expression(clause.words) or ""
    # A text to work on would have come with a colon, and a place with a rule.
    return "" if name in (SUMMARY, SENTIMENT, CLOCK) else clause.text
