"""No attempt outlives its task's deadline."""

import asyncio
import math
from typing import Any

from cartrita.errors import TaskTimeout
from cartrita.policy.chain import Job, Proceed

LONGEST_TIMER = 86_400.0
"""Seconds; a timer that is too early is set again."""

TICK = 0.001
"""Seconds; uvloop's timers know no smaller ones, and would ring again and again until then."""


class _Limit:
    """One attempt's end, in the loop's time."""

    __slots__ = ("at", "cancels", "expired", "task")

    def __init__(self, at: float, task: "asyncio.Task[Any]") -> None:
        self.at, self.task = at, task
        self.cancels, self.expired = task.cancelling(), False


class Deadline:
    """Cancels the work when the time is up.

    Serves one event loop, with one timer for all attempts: most end long before it fires, so
    that a timer of each one's own would be set and cancelled for nothing.
    """

    def __init__(self) -> None:
        self._limits: set[_Limit] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, job: Job, proceed: Proceed) -> Any:
        """Run the rest with what time is left."""
        left = job.context.remaining()
        task = asyncio.current_task()
        if task is None or left == math.inf:
            return await proceed(job)
        limit = self._begin(left, task)
        try:
            return await proceed(job)
        except asyncio.CancelledError:
            # As asyncio.timeout does: whoever else cancelled it must see that.
            if limit.expired and task.cancelling() - 1 <= limit.cancels:
                raise TaskTimeout(f"{job.spec.name!r} did not end before its deadline.") from None
            raise
        finally:
            self._limits.discard(limit)
            if limit.expired:
                task.uncancel()

    def _begin(self, left: float, task: "asyncio.Task[Any]") -> _Limit:
        loop = asyncio.get_running_loop()
        limit = _Limit(loop.time() + left, task)
        self._limits.add(limit)
        if self._timer is None or limit.at < self._timer.when():
            self._set(loop, limit.at)
        return limit

    def _set(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = loop.call_at(min(at, loop.time() + LONGEST_TIMER), self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel what is due and wait for the next."""
        self._timer = None
        due = loop.time() + TICK
        for limit in [limit for limit in self._limits if limit.at <= due]:
            self._limits.discard(limit)
            limit.expired = True
            limit.task.cancel()
        if self._limits:
            self._set(loop, min(limit.at for limit in self._limits))
