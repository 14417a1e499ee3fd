"""Whether a task may wait: bounds, fair shares, deadlines, and what the refused are told."""

from typing import NamedTuple

from actors.forecast import Forecast
from actors.hosting import Limits
from actors.line import DrainRate, Line
from actors.mailbox import Entry, Mailbox
from cartrita.clock import Clock
from cartrita.errors import (
    CartritaError,
    QueueFull,
    Reason,
    ServiceUnavailable,
    StaleEpoch,
    TaskTimeout,
)
from cartrita.journal import TaskRecord

UNKNOWN = 0.01
"""Seconds a task is thought to take while nothing has ended yet."""


class Work(NamedTuple):
    """What a shard has in hand.

    Attributes:
        arriving: Tasks on their way into the journal.
        running: Tasks at work.
        suspended: Tasks whose agents wait for sub-tasks.
        capacity: How many of the newcomer's agent could run at once.
    """

    arriving: int
    running: int
    suspended: int
    capacity: int


class Admission:
    """The mailbox of a shard, and who gets into it."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.limits, self._clock = limits, clock
        self.mailbox = Mailbox(limits.queue)
        self.forecast, self.agents = Forecast(), Forecast()
        self.rate = DrainRate()
        self._line = Line()
        self._waits = False

    def limit(self, queue: int, concurrency: int) -> None:
        """Change the bounds."""
        self.limits = Limits(queue, concurrency)
        self.mailbox.bound = queue

    def weigh(self, record: TaskRecord) -> float:
        """Return the seconds of work a task is expected to be."""
        return self.forecast.service(record.task_type) or self.forecast.mean() or UNKNOWN

    def entry(self, record: TaskRecord, agent: str, weight: float) -> Entry:
        """Return what waits in the mailbox for a task."""
        return Entry(record.task_id, agent, record.principal.tenant, record.priority, weight)

    def check(self, record: TaskRecord, agent: str, weight: float, work: Work) -> None:
        """Refuse a newcomer that has no room, or not the time.

        A sub-task always has room: its parent, which was accepted, waits for it.

        Raises:
            QueueFull: Too many wait already; says when to come again.
            TaskTimeout: It could not end before its deadline.
        """
        if record.depth == 0:
            self._check_room(record, work)
        self._check_time(record, agent, weight, work)

    def _check_room(self, record: TaskRecord, work: Work) -> None:
        waiting = len(self.mailbox) + work.arriving + work.suspended
        idle = max(self.limits.concurrency - work.running, 0)
        tenant = record.principal.tenant
        share = self.mailbox.room(tenant) + idle - work.arriving
        room = min(self.limits.queue + idle - waiting, share)
        key, now = place_of(record), self._clock.monotonic()
        if self._line.admits(now, key, tenant, max(room, 0)):
            return
        after = self._line.refuse(now, key, tenant, waiting, self.rate.rate(now))
        raise QueueFull(
            f"{waiting} tasks wait already. Come again with the same taskId or Idempotency-Key, "
            "which keeps your place in the line.",
            retry_after=after,
        )

    def _check_time(self, record: TaskRecord, agent: str, weight: float, work: Work) -> None:
        left = record.deadline - self._clock.now()
        known = self.forecast.service(record.task_type)
        slots = max(min(work.capacity, self.limits.concurrency), 1)
        if known + self.mailbox.weight_of(agent) / slots <= left:
            return
        ahead = self.mailbox.ahead(self.entry(record, agent, weight))
        needed = known + self.forecast.wait(ahead, slots)
        if needed > left:
            raise TaskTimeout(
                f"It would end in about {needed:.1f} s; its deadline is in {left:.1f} s.",
                Reason.DEADLINE_IMPOSSIBLE,
                [("deadline", "cannot be met now")],
                retry_after=max(1.0, needed - left),
            )

    def dispatched(self) -> None:
        """Note whether anything still waits: only then does the drain rate tell the capacity."""
        waits = len(self.mailbox) > 0
        if waits != self._waits:
            self._waits = waits
            self.rate.busy(waits)

    def ended(self, record: TaskRecord, agent: str, estimate: float, took: float) -> None:
        """Learn from an attempt that ended after `took` seconds of work."""
        self.rate.count(self._clock.monotonic())
        self.forecast.ended(record.task_type, took)
        self.agents.ended(agent, took)
        if len(self.mailbox):
            tenant = record.principal.tenant
            self.mailbox.charge(tenant, record.priority, took - estimate)


def place_of(record: TaskRecord) -> str:
    """Return what tells, when somebody comes again, that it was here before."""
    if record.idempotency_key:
        return f"{record.principal.user}/{record.idempotency_key}"
    return record.task_id


def closed(shard: str, state: str, *, halted: bool, fenced: bool) -> CartritaError | None:
    """Return why a shard takes no new tasks at all; None when it does.

    Args:
        shard: Which.
        state: As the tree shows it.
        halted: An operator stopped it.
        fenced: A newer incarnation owns it.
    """
    if fenced:
        return StaleEpoch(f"{shard!r} has a newer owner.")
    if halted and state == "up":
        return ServiceUnavailable(f"{shard!r} was stopped by an operator.", retry_after=30)
    if state != "up":  # of one that goes away, callers look for the successor
        reason = Reason.DRAINING if state in ("draining", "down") else None
        return ServiceUnavailable(f"{shard!r} is {state}.", reason, retry_after=1)
    return None
