"""Ends what is done for a client that has left.

Our edge tells Serve to leave this to us: Serve's own way is two more asyncio tasks and a queue
for every request, and costs more than the rest of what it does. Requests that are answered soon
are not watched at all.
"""

import asyncio
from types import TracebackType
from typing import Protocol, Self

from starlette.requests import ClientDisconnect

LOOK = 1.0
"""Seconds that a request takes before somebody looks whether its client is still there."""


class Served(Protocol):
    """A request that is being answered."""

    @property
    def read(self) -> bool:
        """Whether its body is complete, so that nobody else waits for what comes."""

    @property
    def ended(self) -> bool:
        """Whether its answer is."""

    async def left(self) -> None:
        """Wait until its client has left."""


class Departure:
    """Cancels what is done within it when the client leaves, and raises `ClientDisconnect`.

    While the body still comes, whoever reads it notices.
    """

    __slots__ = ("_left", "_loop", "_request", "_task", "_timer", "_watching")

    def __init__(self, request: Served) -> None:
        self._request, self._left = request, False
        self._loop = asyncio.get_running_loop()
        self._watching: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._timer = self._loop.call_later(LOOK, self._look)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._watching:
            self._watching.cancel()
        ours = self._left and self._task and not self._task.uncancel()
        if ours and isinstance(error, asyncio.CancelledError):
            raise ClientDisconnect from error

    def _look(self) -> None:
        if self._request.read:
            self._watching = self._loop.create_task(self._watch())
        else:
            self._timer = self._loop.call_later(LOOK, self._look)

    async def _watch(self) -> None:
        await self._request.left()
        if not self._request.ended and self._task:
            self._left = True
            self._task.cancel()
