"""What an attempt says, on its way to the supervisor: in order, joined, held back."""

import asyncio
import math
from contextlib import suppress
from typing import Any, Protocol

from cartrita.channel.frames import pack
from cartrita.errors import CartritaError, ResourceLimitExceeded
from cartrita.stream import Coalescer, Said, Token, to_wire

MOST_WAITING = 8
"""Pieces that may wait for the reader before the agent waits."""

LARGEST = 1024 * 1024
"""Bytes of one thing said; what is larger belongs into the result, or into a blob."""


class Line(Protocol):
    """The way back to the caller in the course of a request, such as a channel's `Call`."""

    def emit(self, payload: Any) -> None:
        """Send an event at once."""

    async def send(self, payload: Any) -> None:
        """Send an event once the caller can take it."""


class Outbox:
    """Sends what one attempt says.

    A task of its own does the sending, so that an agent which gives up waiting for a slow
    reader takes back nothing of what it said.
    """

    def __init__(self, line: Line) -> None:
        self._line, self._said = line, Coalescer()
        self._loop = asyncio.get_running_loop()
        self._changed, self._room, self._sent = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._wakes_at = math.inf
        self._hurry = False
        self._sender = asyncio.create_task(self._send())

    async def say(self, item: Said) -> None:
        """Take something to send; waits while too much waits already.

        Raises:
            ResourceLimitExceeded: It is too large.
            InvalidMessage: It holds something that is no plain value.
        """
        _check(item)
        while len(self._said) >= MOST_WAITING and not self._sender.done():
            self._room.clear()
            await self._room.wait()
        if self._sender.done():
            return  # nobody hears it
        self._said.add(item, self._loop.time())
        self._sent.clear()
        if self._said.due < self._wakes_at:
            self._changed.set()

    async def _send(self) -> None:
        try:
            while True:
                if not self._said:
                    self._sent.set()
                if self._said and (self._hurry or self._said.due <= self._loop.time()):
                    await self._line.send(to_wire(self._said.take()))
                    self._room.set()
                else:
                    await self._news(self._said.due)
        except CartritaError:
            pass  # the channel is lost, and with it the attempt
        finally:
            self._room.set()
            self._sent.set()

    async def _news(self, due: float) -> None:
        """Wait until there is something to send."""
        self._changed.clear()
        self._wakes_at = due
        timer = self._loop.call_at(due, self._changed.set) if due < math.inf else None
        try:
            await self._changed.wait()
        finally:
            self._wakes_at = -math.inf  # awake
            if timer:
                timer.cancel()

    async def flush(self, within: float) -> bool:
        """Send everything without waiting for more; tells whether it was sent in time."""
        self._hurry = True
        self._changed.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._sent.wait()
        return self._sent.is_set()

    def close(self) -> None:
        """Send nothing more."""
        self._sender.cancel()


def _check(item: Said) -> None:
    size = len(item.text) if isinstance(item, Token) else len(pack(to_wire(item)))
    if size > LARGEST:
        raise ResourceLimitExceeded(
            f"A task may say {LARGEST} bytes at a time, not {size}; larger things belong "
            "into its result."
        )
