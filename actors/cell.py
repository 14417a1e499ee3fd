"""A live task in its supervisor's memory, and who waits for it."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from actors.entrance import Asker
from actors.slot import Host
from actors.tasklog import TaskLog
from actors.uselog import UseLog
from cartrita.channel.client import Exchange
from cartrita.effects import State
from cartrita.errors import IdempotencyMismatch, NotFound
from cartrita.journal import TaskRecord
from cartrita.ledger import Intent
from cartrita.telemetry.trace import trace_id
from cartrita.trail import Trail

PRUNE = 32
"""Waiters above which those who left are forgotten."""


@dataclass(slots=True, eq=False)
class Act:
    """An effect of a live task, as far as its supervisor knows.

    Attributes:
        intent: The attempt that acts or acted; None for one under an earlier supervisor.
        asked: It asked whether it may, and was not told yet.
    """

    id: str
    name: str
    state: State = State.NOT_DONE
    intent: Intent | None = None
    asked: bool = False


@dataclass(slots=True, eq=False)
class Cell:
    """One live task: accepted or being accepted, not yet ended.

    Attributes:
        since: When it came, in monotonic seconds.
        weight: Seconds of work it was expected to take.
        safe: Its type says that running it again does no harm.
        ledgered: Its type says that all its effects go through the ledger.
        began: When it was last given to a host, in monotonic seconds; 0 for never.
        deaths: Whether each host that died under it was alone with it.
        work: The attempt under way, on `host`.
        begun: Whether `work` has begun. A task of asyncio's that is cancelled before that does
            not run at all, not even what gives its place back.
        exchange: What hears its host meanwhile.
        sent: Whether its host was told.
        placed: Set when it was.
        ending: Its end is on the way to the journal.
        started: That the present attempt's start is durable, where that matters.
        started_at: Which says that it started then, in Unix seconds.
        written: That the loss of the last attempt is.
        calls: Sub-tasks that its agent waits for.
        children: The same, as what carries them out.
        fed: Whether a stream came in, which nobody can send again.
        rest: Seconds for which it waits after an attempt that failed; 0 when it does not.
        spent: USD and tokens of the attempts that are over.
        noted: Nano-USD and tokens that the present attempt has used so far.
        metered: Calls, nano-USD and tokens of all attempts, by model.
        pressure: How full the fullest budget above it was when it was accepted or taken up.
        acts: Its effects, by their ids.
        asking: What asks the ledger for the present attempt.
        trail: What its trace is made of, where traces are told.
    """

    record: TaskRecord
    agent: str
    since: float
    weight: float = 1.0
    safe: bool = False
    ledgered: bool = False
    attempts: int = 0
    deaths: list[bool] = field(default_factory=list)
    began: float = 0.0
    accepted: bool = False
    cancelled: bool = False
    begun: bool = False
    sent: bool = False
    ending: bool = False
    fed: bool = False
    calls: int = 0
    called: int = 0
    work: asyncio.Future[Any] | None = None
    host: Host | None = None
    exchange: Exchange | None = None
    started: asyncio.Future[bool] | None = None
    started_at: float = 0.0
    written: asyncio.Future[bool] | None = None
    placed: asyncio.Event | None = None
    timer: asyncio.TimerHandle | None = None
    log: TaskLog | None = None
    uses: UseLog | None = None
    children: set[asyncio.Task[None]] | None = None
    rest: float = 0.0
    spent: tuple[float, int] = (0.0, 0)
    noted: tuple[int, int] = (0, 0)
    metered: dict[str, tuple[int, int, int]] | None = None
    pressure: float = 0.0
    acts: dict[str, Act] | None = None
    asking: set[asyncio.Task[None]] | None = None
    trail: Trail | None = None
    waiters: list[tuple[asyncio.Future[Any], bool]] = field(default_factory=list)

    @property
    def running(self) -> bool:
        """Whether an attempt is at work."""
        return self.work is not None

    @property
    def repeatable(self) -> bool:
        """Whether it may start again after it had started."""
        return self.record.delivery.repeats(safe=self.safe) and not self.fed

    def effects(self, state: State) -> list[str]:
        """Return the names and ids of its effects that are in a state."""
        acts = (self.acts or {}).values()
        return [f"{act.name!r} ({act.id})" for act in acts if act.state is state]

    def again(self, asked: TaskRecord, asker: Asker = ()) -> None:
        """Take what it is asked for, also a repeat: whoever asked before may have died.

        So its trace goes on under the one who asked last.

        Raises:
            CartritaError: It is no repeat, as `same_task` has it.
        """
        same_task(self.record, asked)
        trail = self.trail
        if trail and asked.trace and trace_id(asked.trace) == trace_id(trail.trace):
            trail.trace, trail.asker = asked.trace, asker

    def end(self) -> None:
        """Wait for nothing more: its end goes to the journal."""
        self.ending = True
        if self.timer:
            self.timer.cancel()
        if self.placed:
            self.placed.set()

    def abandon(self) -> None:
        """Let go of it because its supervisor stops; the journal keeps the task."""
        if self.timer:
            self.timer.cancel()
        if self.log:
            self.log.close()

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


async def at_rest(cells: Mapping[str, Cell], timeout: float) -> None:
    """Wait until no attempt is under way; one whose host was lost goes on for a moment."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            while running := [cell.work for cell in cells.values() if cell.work]:
                await asyncio.wait(running)


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
    same_user(held.principal.user, asked)
    if not known and held.digest != asked.digest:
        raise IdempotencyMismatch(f"Task {asked.task_id!r} asked for something else.")


def same_user(user: str, asked: TaskRecord) -> None:
    """Refuse a task id that belongs to another than `user`."""
    if user != asked.principal.user:
        raise NotFound(f"There is no task {asked.task_id!r} of yours.")
