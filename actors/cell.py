"""A live task in its supervisor's memory, and who waits for it."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from cartrita.clock import Clock
from cartrita.journal import TaskRecord


@dataclass(slots=True, eq=False)
class Cell:
    """One live task: accepted or being accepted, not yet ended."""

    record: TaskRecord
    agent: str
    since: float
    attempts: int = 0
    began: float = 0.0
    accepted: bool = False
    cancelled: bool = False
    work: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    waiters: list[tuple[asyncio.Future[Any], bool]] = field(default_factory=list)

    @property
    def running(self) -> bool:
        """Whether an attempt is at work."""
        return self.work is not None

    def wait(self, *, end: bool) -> asyncio.Future[Any]:
        """Return a future of the acceptance, or of the end; cancelling it harms nobody."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.waiters.append((future, end))
        return future

    def tell(self, value: Any, *, ended: bool) -> None:
        """Answer those who wait; before the end, only those who asked for the acceptance."""
        kept: list[tuple[asyncio.Future[Any], bool]] = []
        for future, end in self.waiters:
            if end and not ended:
                kept.append((future, end))
            elif future.done():
                continue
            elif isinstance(value, Exception):
                future.set_exception(value)
            else:
                future.set_result(value)
        self.waiters = kept


class DrainRate:
    """Tasks ended per second, over the last ten; what `Retry-After` is computed from."""

    def __init__(self, clock: Clock, seconds: int = 10) -> None:
        self._clock, self._seconds = clock, seconds
        self._ends: deque[tuple[int, int]] = deque()

    def count(self) -> None:
        """Note one end."""
        second = int(self._clock.monotonic())
        if self._ends and self._ends[-1][0] == second:
            self._ends[-1] = (second, self._ends[-1][1] + 1)
        else:
            self._ends.append((second, 1))
            while self._ends[0][0] <= second - self._seconds:
                self._ends.popleft()

    def seconds_for(self, tasks: int) -> float:
        """Return how long `tasks` will take at the measured rate; 1 to 60 seconds."""
        since = self._clock.monotonic() - self._seconds
        ended = sum(count for second, count in self._ends if second >= since)
        return min(max(tasks * self._seconds / ended, 1.0), 60.0) if ended else 1.0
