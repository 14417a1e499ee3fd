"""A stream that is fed into an attempt: a few pieces wait here until its agent reads them."""

import asyncio
from collections import deque
from typing import Any, Self

from cartrita.errors import InvalidMessage, NotFound, Reason, TaskTimeout

ROOM = 32
"""Pieces that may wait; the sender of the next waits, too."""

KINDS = ("start", "data", "end")


class Inbox:
    """Takes numbered pieces in order and gives them to one reader.

    Args:
        name: Whose it is, for messages.
        idle_timeout: Seconds its reader waits for the next piece.
    """

    def __init__(self, name: str, idle_timeout: float) -> None:
        self._name, self._idle_timeout = name, idle_timeout
        self._pieces: deque[Any] = deque()
        self._last = -1
        self._ended = self._closed = False
        self._turn = asyncio.Lock()  # pieces that wait for room keep their order
        self._room, self._news = asyncio.Event(), asyncio.Event()
        self.content_type: str | None = None

    async def put(self, kind: str, sequence: int, data: Any) -> None:
        """Take a piece once there is room; a repeat of the last one changes nothing.

        Raises:
            InvalidMessage: It is not the next, or nothing can come next.
            NotFound: The task ended.
        """
        async with self._turn:
            self._check(kind, sequence)
            if sequence == self._last:
                return
            while len(self._pieces) >= ROOM and not self._closed:
                self._room.clear()
                await self._room.wait()
            if self._closed:
                raise NotFound(f"Task {self._name!r} has ended.")
            self._take(kind, data)

    def _check(self, kind: str, sequence: int) -> None:
        expected = self._last + 1
        if kind not in KINDS:
            raise InvalidMessage(f"A piece of a stream is one of {KINDS}, not {kind!r}.")
        if sequence not in (self._last, expected) or sequence < 0:
            raise InvalidMessage(
                f"The stream of task {self._name!r} goes on with piece {expected}, "
                f"not with {sequence}."
            )
        if sequence == expected and (self._ended or (kind == "start") != (sequence == 0)):
            why = "has ended" if self._ended else "begins with `start`, and only once"
            raise InvalidMessage(f"The stream of task {self._name!r} {why}.")

    def _take(self, kind: str, data: Any) -> None:
        self._last += 1
        if kind == "start":
            self.content_type = data
        elif kind == "end":
            self._ended = True
        else:
            self._pieces.append(data)
        self._news.set()

    def __aiter__(self) -> Self:
        """Return itself: what was read is gone."""
        return self

    async def __anext__(self) -> Any:
        """Return the next piece.

        Raises:
            TaskTimeout: None came for `idle_timeout`.
        """
        while not self._pieces:
            if self._ended:
                raise StopAsyncIteration
            await self._more()
        self._room.set()
        return self._pieces.popleft()

    async def _more(self) -> None:
        self._news.clear()
        try:
            async with asyncio.timeout(self._idle_timeout):
                await self._news.wait()
        except TimeoutError:
            raise TaskTimeout(
                f"Nothing was fed into task {self._name!r} for {self._idle_timeout:g} s.",
                Reason.STREAM_IDLE,
            ) from None

    def close(self) -> None:
        """Take nothing more."""
        self._closed = True
        self._room.set()
