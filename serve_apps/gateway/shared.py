"""One answer for everybody who asks within a moment."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from cartrita.clock import Clock

T = TypeVar("T")


class Shared(Generic[T]):
    """Something dear to find out, found out once for many.

    Who asks while somebody else's question is on its way gets the same answer; so a flood of
    health checks is one check. A failure is told to those who wait and then forgotten.
    Belongs to one event loop.

    Args:
        ask: Finds it out.
        ttl: Seconds for which an answer is good.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], clock: Clock, ttl: float) -> None:
        self._ask, self._clock, self._ttl = ask, clock, ttl
        self._task: asyncio.Task[T] | None = None
        self._at = 0.0

    async def get(self) -> T:
        """Return an answer that is not older than `ttl`."""
        if self._task is None or (self._task.done() and self._stale(self._task)):
            self._at = self._clock.monotonic()
            self._task = asyncio.create_task(self._run())
        # One caller that leaves must not take the question away from the others.
        return await asyncio.shield(self._task)

    async def _run(self) -> T:
        return await self._ask()

    def _stale(self, task: asyncio.Task[T]) -> bool:
        failed = task.cancelled() or task.exception() is not None
        return failed or self._clock.monotonic() - self._at >= self._ttl
