"""A live task in its supervisor's memory, and who waits for it."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from cartrita.clock import Clock
from cartrita.errors import IdempotencyMismatch, NotFound
from cartrita.journal import TaskRecord
from cartrita.protocol.task import Delivery

PRUNE = 32
"""Waiters above which those who left are forgotten."""


@dataclass(slots=True, eq=False)
class Cell:
    """One live task: accepted or being accepted, not yet ended.

    Attributes:
        began: When it was last given to a host, in monotonic seconds; 0 for never.
        work: The attempt under way.
        begun: Whether `work` has begun to run. A task that is cancelled before that does
            not run at all, not even what gives its place back.
        ending: Its end is on the way to the journal.
    """

    record: TaskRecord
    agent: str
    since: float
    attempts: int = 0
    began: float = 0.0
    accepted: bool = False
    cancelled: bool = False
    begun: bool = False
    ending: bool = False
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
        if len(self.waiters) >= PRUNE:  # many who asked and left, such as by polling
            self.waiters = [(waiter, kind) for waiter, kind in self.waiters if not waiter.done()]
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


def repeatable(record: TaskRecord) -> bool:
    """Tell whether a task that had started may start again."""
    return record.delivery is Delivery.AT_LEAST_ONCE


def same_task(held: TaskRecord, asked: TaskRecord, *, known: bool = False) -> None:
    """Refuse a task id that belongs to somebody else or asked for something else.

    Args:
        held: The task of that id.
        asked: What came now.
        known: Their digests were compared already.

    Raises:
        NotFound: It belongs to somebody else.
        IdempotencyMismatch: It asked for something else.
    """
    if held.principal.user != asked.principal.user:
        raise NotFound(f"There is no task {asked.task_id!r} of yours.")
    if not known and held.digest != asked.digest:
        raise IdempotencyMismatch(f"Task {asked.task_id!r} asked for something else.")


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
