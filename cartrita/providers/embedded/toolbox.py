"""The tools that chat models get, bound to their caller."""

import functools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from cartrita.context import Context
from cartrita.errors import ModelRequired
from cartrita.providers.embedded import spoken
from cartrita.providers.embedded.arithmetic import evaluate
from cartrita.providers.embedded.intent import (
    CALCULATOR,
    CLOCK,
    MEMORY,
    NOTHING_FOUND,
    SENTIMENT,
    SUMMARY,
)
from cartrita.providers.ports import Embedder, Summarizer, TextClassifier
from cartrita.storage.ports import Memories, Recalled

MOST_PASSAGES = 3
LEAST_LIKENESS = 0.3
"""Below it, passages are about something else."""

LONGEST_TEXT = 20_000
LONGEST_QUERY = 1_000
SUMMARY_TOKENS = 120


class BuiltinTools:
    """Makes the tools that need no outside service.

    Args:
        embedder: With `memories`, enables the search of what the caller's tenant stored.
        memories: Searched in the caller's tenant only, and in the session when there is one.
        summarizer: Enables summaries.
        classifier: Enables sentiment.
    """

    def __init__(
        self,
        embedder: Embedder | None = None,
        memories: Memories | None = None,
        summarizer: Summarizer | None = None,
        classifier: TextClassifier | None = None,
    ) -> None:
        self._embedder, self._memories = embedder, memories
        self._summarizer, self._classifier = summarizer, classifier

    def tools(self, ctx: Context) -> list[Any]:
        """Return the tools bound to the caller of `ctx`."""
        made = [_tool(CALCULATOR, _calculate), _tool(CLOCK, _clock(ctx))]
        if self._memories and self._embedder:
            made.append(_tool(MEMORY, _memory(self._memories, self._embedder, ctx)))
        if self._summarizer:
            made.append(_tool(SUMMARY, _summary(self._summarizer)))
        if self._classifier:
            made.append(_tool(SENTIMENT, _sentiment(self._classifier)))
        return made


def _tool(name: str, work: Callable[..., Awaitable[str]]) -> Any:
    """Wrap a function, whose docstring the model reads.

    What is wrong with its input is an answer to the model, and so is a model that the tool
    itself lacks: the conversation can go on without it.
    """
    from langchain_core.tools import StructuredTool, ToolException  # noqa: PLC0415 - takes a second

    @functools.wraps(work)
    async def guarded(*args: Any, **kwargs: Any) -> str:
        try:
            return await work(*args, **kwargs)
        except (ValueError, ModelRequired) as error:
            raise ToolException(str(error)) from error

    return StructuredTool.from_function(coroutine=guarded, name=name, handle_tool_error=True)


async def _calculate(expression: str) -> str:
    """Evaluate arithmetic: + - * / // % ** ( ) sqrt log ln exp sin cos min max round pi e."""
    return evaluate(expression)


def _clock(ctx: Context) -> Callable[[str], Awaitable[str]]:
    async def current_time(zone: str = "UTC") -> str:
        """Tell the date, the weekday and the time in an IANA time zone such as Europe/Berlin."""
        name = spoken.zone(zone)
        if name is None:
            raise ValueError(f"there is no time zone {zone!r}; name one such as Europe/Berlin")
        now = datetime.fromtimestamp(ctx.clock.now(), UTC).astimezone(ZoneInfo(name))
        return f"{now:%A %Y-%m-%d %H:%M} {name}"

    return current_time


def _memory(
    memories: Memories, embedder: Embedder, ctx: Context
) -> Callable[[str], Awaitable[str]]:
    async def search_memory(query: str) -> str:
        """Search what was stored earlier and quote the passages nearest in meaning."""
        vectors = await embedder.embed([_bounded(query, LONGEST_QUERY)])
        found = await memories.search(
            ctx.principal.tenant,
            vectors[0],
            embedder.info.model,
            limit=MOST_PASSAGES,
            threshold=LEAST_LIKENESS,
            session=ctx.session_id,
        )
        return "\n".join(map(_quoted, found)) or NOTHING_FOUND

    return search_memory


def _quoted(hit: Recalled) -> str:
    source = hit.record.metadata.get("source", hit.record.id)
    return f"“{hit.record.text}” [{source}, {hit.score:.2f}]"


def _summary(summarizer: Summarizer) -> Callable[[str], Awaitable[str]]:
    async def summarize(text: str) -> str:
        """Shorten a text by keeping its most telling sentences."""
        made = await summarizer.summarize(_bounded(text, LONGEST_TEXT), SUMMARY_TOKENS)
        return f"{made.text} [{made.info.model}]"

    return summarize


def _sentiment(classifier: TextClassifier) -> Callable[[str], Awaitable[str]]:
    async def sentiment(text: str) -> str:
        """Tell whether a text sounds positive, neutral or negative."""
        found = await classifier.sentiment(_bounded(text, LONGEST_TEXT))
        scores = ", ".join(f"{label.label} {label.score:.2f}" for label in found.labels)
        return f"{scores} [{found.info.model}]"

    return sentiment


def _bounded(text: str, longest: int) -> str:
    if not text.strip() or len(text) > longest:
        raise ValueError(f"give a text of 1 to {longest} characters")
    return text
