"""The record of every accepted task: what is written, and how it reads back.

`task_events` is the truth: one row when a task is accepted, one when it ends, and between
them what must be known after a crash. Everything else (a status, a list) is a fold of it.
A task is *accepted* only when its first event is durable.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

from cartrita.channel.frames import pack, unpack
from cartrita.cost.budget import Bill, Tab
from cartrita.cost.price import nano
from cartrita.protocol.carrier import Carrier
from cartrita.protocol.principal import Principal, principal_of
from cartrita.protocol.task import Delivery, TaskStatus

END_STEP = 1 << 62
"""The step of a task's end, above that of any attempt."""

ATTEMPT_SHIFT = 32
"""A step is the attempt, shifted so far, and the event's place within the attempt."""

_CARRIER = 24
"""The place of the carrier in a record's wire form."""

USED_PLACE = 1 << 31
"""From this place on, rows tell what an attempt used. Readers' cursors are all below it."""


class EventKind(IntEnum):
    """What happened to a task."""

    ACCEPTED = 0
    STARTED = 2
    RETRY = 8
    STREAM = 9
    USED = 10
    COMPLETED = 16
    FAILED = 17
    CANCELLED = 18
    TIMEOUT = 19

    @property
    def terminal(self) -> bool:
        """Whether it is the last one."""
        return self >= EventKind.COMPLETED


END_OF = {
    TaskStatus.COMPLETED: EventKind.COMPLETED,
    TaskStatus.FAILED: EventKind.FAILED,
    TaskStatus.CANCELLED: EventKind.CANCELLED,
    TaskStatus.TIMEOUT: EventKind.TIMEOUT,
}
"""The event that ends a task in each terminal status."""

STATUS_OF = {kind: status for status, kind in END_OF.items()}

STATUS_IN = {EventKind.STARTED: TaskStatus.RUNNING, EventKind.RETRY: TaskStatus.PENDING}
"""The status that an event in the course of a task leaves it in."""


@dataclass(slots=True)
class TaskRecord:
    """An accepted request, as it is journaled and as it travels between the tiers.

    Nobody changes one. It is not frozen, because making a frozen one costs five times as much,
    and each tier makes one per task.

    Attributes:
        digest: Of what was asked; tells a repeat from another task under the same id.
        accepted_at: Unix seconds at which it came in.
        priority: 0-10, higher first.
        deadline: Unix seconds at which the task times out.
        reserve_usd: The worst case in USD that admission reserves.
        reserve_tokens: The worst case in tokens.
        max_usd: The caller's own ceiling, if any.
        parent: The task whose agent called for this one.
        depth: How many callers are above it.
        retry_of: The task that this one tries again.
        root: The first of those that tried it, whose effects it shares; None for itself.
        carrier: The built-in task that does its work, where its type is an external agent's.
        tree: The task whose caller set a ceiling for it and for all that it calls for.
    """

    task_id: str
    task_type: str
    params: dict[str, Any]
    principal: Principal
    digest: bytes
    accepted_at: float
    deadline: float
    priority: int = 5
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    max_attempts: int = 3
    session_id: str | None = None
    preferred_agent: str | None = None
    preferences: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    trace: str | None = None
    idempotency_key: str | None = None
    reserve_nano: int = 0
    reserve_tokens: int = 0
    max_usd: float | None = None
    max_tokens: int | None = None
    parent: str | None = None
    depth: int = 0
    retry_of: str | None = None
    root: str | None = None
    carrier: Carrier | None = None
    tree: str | None = None
    packed: bytes = field(default=b"", repr=False, compare=False)
    """What `pack` made or `unpack` read: the tiers and the journal pass it on as it is."""

    @property
    def work(self) -> str:
        """The declared task that does the work."""
        return self.carrier.task if self.carrier else self.task_type

    def pack(self) -> bytes:
        """Return this record as MessagePack, packed once on its way through the tiers."""
        return self.packed or pack(self.to_wire())

    @classmethod
    def unpack(cls, packed: bytes) -> "TaskRecord":
        """Read what `pack` wrote."""
        record = cls.from_wire(unpack(packed))
        record.packed = packed
        return record

    def to_wire(self) -> list[Any]:
        """Return plain values in a fixed order: this is the hot path, so no field names."""
        who = self.principal
        return [
            self.task_id,
            self.task_type,
            self.params,
            [who.user, who.tenant, who.role.value, list(who.scopes)],
            self.digest,
            self.accepted_at,
            self.deadline,
            self.priority,
            self.delivery.value,
            self.max_attempts,
            self.session_id,
            self.preferred_agent,
            self.preferences,
            self.metadata,
            self.trace,
            self.idempotency_key,
            self.reserve_nano,
            self.reserve_tokens,
            self.max_usd,
            self.max_tokens,
            self.parent,
            self.depth,
            self.retry_of,
            self.root,
            self.carrier,
            self.tree,
        ]

    @classmethod
    def from_wire(cls, row: Sequence[Any]) -> "TaskRecord":
        """Read what `to_wire` wrote; fields added since keep their defaults."""
        user, tenant, role, scopes = row[3]
        values: list[Any] = list(row)
        values[3] = principal_of(user, tenant, role, tuple(scopes))
        values[8] = Delivery(row[8])
        if len(values) > _CARRIER and values[_CARRIER]:
            values[_CARRIER] = Carrier(*values[_CARRIER])
        return cls(*values)


@dataclass(slots=True)
class Event:
    """One line of a task's story. Nobody changes one, as with a record.

    Attributes:
        step: Orders a task's events: 0 is acceptance, then attempt and sequence, and the end
            has one fixed number, so that the database itself refuses a second end.
        data: The record's wire form for ACCEPTED, a response's wire form for an end, and for
            STREAM what was said since the last one: rows of step, type, Unix seconds and data.
            For RETRY `{"solo": whether it ran alone}` where the host died, or the `errorCode`
            of an attempt that failed, with what that used.
            For USED which models and tools were: rows of Unix seconds, kind and data, as
            `cartrita.uses` writes them.
        at: Unix seconds at which it happened; 0 for when the journal takes it.
    """

    task_id: str
    step: int
    kind: EventKind
    data: Any
    at: float = 0.0
    shard: str = ""
    epoch: int = 0

    @classmethod
    def end(
        cls, task_id: str, status: TaskStatus, response: dict[str, Any], at: float = 0.0
    ) -> "Event":
        """Return the event that ends a task."""
        return cls(task_id, END_STEP, END_OF[status], response, at)

    @classmethod
    def within(
        cls, task_id: str, attempt: int, sequence: int, kind: EventKind, data: Any = None
    ) -> "Event":
        """Return an event in the course of an attempt."""
        return cls(task_id, (attempt << ATTEMPT_SHIFT) | sequence, kind, data)


@dataclass(slots=True)
class Verdict:
    """What admission decided about one task. Nobody changes one.

    Attributes:
        kind: `accepted`; `known`: this id or key came before, `task_id` says which task it is;
            `mismatch`: it came before with another payload; `budget`: `budget` has no room.
        task_id: The task that stands.
        budget: Which budget refused, such as `user:0192…`.
        resets_at: Unix seconds at which that budget begins anew; 0 for never.
        pressure: How full the fullest budget above an accepted task was, 0 to 1.
    """

    kind: str
    task_id: str
    budget: str = ""
    resets_at: float = 0.0
    pressure: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a finished task really used, to be taken from its reservation, and for what."""

    nano_usd: int = 0
    tokens: int = 0
    bill: Bill | None = field(default=None, compare=False)

    @classmethod
    def of(cls, response: dict[str, Any]) -> "Settlement":
        """Return what a response says its task used."""
        metrics = response.get("metrics") or {}
        usd, tokens = metrics.get("costUsd", 0), metrics.get("tokensUsed", 0)
        return cls(nano(usd), int(tokens)) if usd or tokens else NOTHING


NOTHING = Settlement()


class Journal(Protocol):
    """One shard's writer. Everything it is told is durable when its call returns."""

    @property
    def epoch(self) -> int:
        """The incarnation this writer acts for; 0 before `open`."""

    @property
    def restarts(self) -> int:
        """How often the shard was taken over in this life of the instance."""

    async def open(self) -> int:
        """Take and return a new epoch of the shard, so that every older writer is refused."""

    def admit(self, record: TaskRecord) -> asyncio.Future[Verdict]:
        """Decide idempotency and budget and journal the task, in one transaction.

        The future outlives whoever waits for it: a task whose caller left is admitted all the
        same. It fails with `ServiceUnavailable` when the database cannot be reached and the
        task was certainly not written, and with `StaleEpoch` when a newer writer owns the shard.
        """

    def append(self, event: Event, settlement: Settlement | None = None) -> asyncio.Future[bool]:
        """Write an event; False when the task already has an end.

        Waits through an outage of the database for as long as it takes.
        """

    def unfinished(self) -> AsyncIterator[tuple[TaskRecord, list[Event], float]]:
        """Yield each task without an end, oldest first, and how full its budgets are beside it."""

    async def close(self) -> None:
        """Write what is queued and let go of the shard."""


@dataclass(frozen=True, slots=True)
class Relative:
    """A task that another one's agent called for, where it stands.

    Attributes:
        parent: Whose agent did.
        accepted_at: Unix seconds.
        finished_at: Unix seconds; None before its end.
    """

    task_id: str
    parent: str
    task_type: str
    status: TaskStatus
    accepted_at: float
    finished_at: float | None = None
    error_code: str | None = None
    reason: str | None = None
    used: Settlement = Settlement()


@dataclass(frozen=True, slots=True)
class Remnant:
    """What is left of an ended task whose events were forgotten: no parameters and no result.

    Attributes:
        finished_at: Unix seconds.
    """

    task_id: str
    task_type: str
    user: str
    status: TaskStatus
    finished_at: float
    error_code: str | None = None
    reason: str | None = None
    used: Settlement = Settlement()


class Stories(Protocol):
    """Reads what the writers wrote; any process may. Raises `ServiceUnavailable`."""

    async def story(self, task_id: str, after: int = -1) -> list[Event]:
        """Return the durable events of a task in order; empty when there is no such task.

        Args:
            task_id: Whose.
            after: Leave out what is told wholly before this step.
        """

    async def family(self, task_id: str, most: int) -> list[Relative]:
        """Return the sub-tasks of a task and theirs in turn, oldest first.

        They may be a moment behind, and one that was just accepted missing.

        Args:
            task_id: Whose.
            most: How many at most; those that are nearer to the task go before.
        """

    async def remnant(self, task_id: str) -> Remnant | None:
        """Return what is left of a task that has ended and may have no events any more."""

    async def remembered(self, task_ids: Sequence[str]) -> set[str]:
        """Return those of these tasks that have events: that are live, or not forgotten yet."""

    async def ended(self, shard: str, after: float, most: int) -> list[str]:
        """Return the tasks among a shard's `most` last events that ended after a Unix time."""


@dataclass(frozen=True, slots=True)
class TaskState:
    """A task's story, folded."""

    record: TaskRecord
    shard: str
    status: TaskStatus
    attempts: int
    response: dict[str, Any] | None
    deaths: tuple[bool, ...] = ()
    """A host died under it: alone with it, or with others."""

    spent: tuple[float, int] = (0.0, 0)
    """USD and tokens of attempts that are over, as far as anybody noted them."""


def fold(story: Sequence[Event]) -> TaskState | None:
    """Fold a story into where its task stands; None for an empty one."""
    if not story or story[0].kind is not EventKind.ACCEPTED:
        return None
    record = TaskRecord.from_wire(story[0].data)
    status, attempts, response = TaskStatus.PENDING, 0, None
    deaths: list[bool] = []
    tab = Tab()
    for event in story[1:]:
        if event.kind.terminal:
            status, response = STATUS_OF[event.kind], event.data
            continue
        status = STATUS_IN.get(event.kind, status)
        attempts = max(attempts, event.step >> ATTEMPT_SHIFT)
        if event.kind in (EventKind.USED, EventKind.RETRY):
            tab.note(event.step >> ATTEMPT_SHIFT, event.data or {})
        if event.kind is EventKind.RETRY and "errorCode" not in (event.data or {}):
            deaths.append(bool((event.data or {}).get("solo")))
    spent = tab.total(last=attempts if response else 0)
    return TaskState(record, story[0].shard, status, attempts, response, tuple(deaths), spent)
