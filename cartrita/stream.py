"""What a task says while it works, and how many small pieces become few."""

import math
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar

R = TypeVar("R")

LONGEST_WAIT = 0.02
"""Seconds for which a token may wait for others to be sent with."""

LARGEST_RUN = 4096
"""Bytes of text at which joined tokens are sent."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text that a model is writing."""

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TypeError(f"A token is text, not {self.text!r}")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work is.

    Attributes:
        fraction: From 0 to 1, where it is known.
        text: What is being done, for people.
    """

    fraction: float | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if self.fraction is None:
            return
        if not (math.isfinite(self.fraction) and 0 <= self.fraction <= 1):
            raise ValueError(f"A fraction is from 0 to 1, not {self.fraction!r}")


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool that the work uses.

    Attributes:
        input: What the tool is given; plain values.
        output: What it answered; None while it is at work.
    """

    name: str
    input: Any
    output: Any = None


Said = Token | Progress | ToolUse
"""What a task may say before its result."""


def to_wire(item: Said) -> list[Any]:
    """Return the kind and the data of something said, as plain values."""
    if isinstance(item, Token):
        return ["token", {"text": item.text}]
    if isinstance(item, Progress):
        return ["progress", {"fraction": item.fraction, "text": item.text}]
    return ["tool", {"name": item.name, "input": item.input, "output": item.output}]


class Incoming(Protocol):
    """A stream that comes into a task while it runs: an iterator over its pieces."""

    @property
    def content_type(self) -> str | None:
        """What the sender says the pieces are; known from the first piece on."""

    def __aiter__(self) -> Self:
        """Return itself: a stream is read once."""

    async def __anext__(self) -> Any:
        """Return the next piece: bytes, or a plain value.

        Raises:
            TaskTimeout: Nothing came for too long; the reason is `STREAM_IDLE`.
        """


async def last_of(
    items: AsyncGenerator[Any, None], result: type[R], say: Callable[[Said], Awaitable[None]]
) -> R:
    """Say what a streaming task yields and return what it yields last, its result.

    Raises:
        TypeError: There is no result, or something came after it, or is none of these.
    """
    found: R | None = None
    async with aclosing(items):
        async for item in items:
            if found is not None:
                raise TypeError(f"It yielded {type(item).__name__} after its result")
            if isinstance(item, result):
                found = item
            elif isinstance(item, Said):
                await say(item)
            else:
                raise TypeError(
                    f"It yielded {type(item).__name__}: a task yields Token, Progress and "
                    f"ToolUse, and {result.__name__} in the end"
                )
    if found is None:
        raise TypeError(f"It ended without yielding a {result.__name__}")
    return found


@dataclass(slots=True)
class _Waiting:
    """One thing to send: an item, or tokens that become one."""

    due: float
    item: Said | None = None
    texts: list[str] = field(default_factory=list)
    size: int = 0


class Coalescer:
    """Keeps what was said in order until it is time to send it, and joins tokens.

    A token behind a silence is due at once, and those that follow it closely wait for each
    other. Knows no clock: `now` is in seconds of any clock that only grows.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._next_run = -math.inf

    def __len__(self) -> int:
        """Return how many pieces it would take to send everything now."""
        return len(self._waiting)

    @property
    def due(self) -> float:
        """When the first piece should be sent; infinity when there is none."""
        return self._waiting[0].due if self._waiting else math.inf

    def add(self, item: Said, now: float) -> None:
        """Take something said behind everything before it.

        Raises:
            UnicodeEncodeError: A token's text has no UTF-8 form.
        """
        if not isinstance(item, Token):
            self._close(now)
            self._waiting.append(_Waiting(now, item))
            return
        size = len(item.text.encode())
        if not size:
            return
        last = self._waiting[-1] if self._waiting else None
        if last is None or last.item is not None or last.size + size > LARGEST_RUN:
            self._close(now)
            last = _Waiting(min(max(now, self._next_run), now + LONGEST_WAIT))
            self._next_run = last.due + LONGEST_WAIT
            self._waiting.append(last)
        last.texts.append(item.text)
        last.size += size
        if last.size >= LARGEST_RUN:
            last.due = now

    def _close(self, now: float) -> None:
        """Let the last piece wait no longer: what comes now cannot join it."""
        if self._waiting:
            self._waiting[-1].due = min(self._waiting[-1].due, now)

    def take(self) -> Said:
        """Remove the first piece, due or not, and return it.

        Raises:
            IndexError: There is none.
        """
        first = self._waiting.popleft()
        return first.item if first.item is not None else Token("".join(first.texts))
