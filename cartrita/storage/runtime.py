"""What the runtime keeps beside the journal: orders, audit, quarantine."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from cartrita.errors import Reason
from cartrita.journal import Event, fold

Settled = Literal["retried", "discarded"]
"""What somebody decided about a quarantined task."""


class Orders(Protocol):
    """What operators want of the tree beyond its settings; outlives the tree.

    Raises `ServiceUnavailable` where it cannot be reached.
    """

    async def all(self) -> dict[str, Any]:
        """Return every order in force, by its key."""

    async def put(self, key: str, value: Any, by: str) -> None:
        """Give an order, in place of the one with this key.

        Args:
            key: What it is about.
            value: JSON.
            by: Who gives it.
        """

    async def remove(self, key: str) -> None:
        """Take an order back, if there is one."""

    async def busy_shards(self) -> list[str]:
        """Return the shards that own accepted tasks without an end, whoever runs them now."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One command and how it went.

    Attributes:
        at: Unix seconds.
        actor: Who commanded.
        detail: JSON.
        id: Given by the log, growing.
    """

    at: float
    actor: str
    action: str
    target: str
    outcome: str
    detail: dict[str, Any] = field(default_factory=dict)
    id: int = 0


class Audit(Protocol):
    """The log of commands, append-only. Raises `ServiceUnavailable` where it cannot be reached."""

    async def note(self, entry: AuditEntry) -> None:
        """Add an entry, whose id is ignored."""

    async def entries(self, limit: int, before: int | None) -> list[AuditEntry]:
        """Return entries, newest first; only those with an id below `before`, if given."""


@dataclass(frozen=True, slots=True)
class QuarantinedTask:
    """A task that was given up because it kills whatever runs it.

    Attributes:
        accepted_at: Unix seconds.
        ended_at: Unix seconds at which it was quarantined.
        settled: What was decided; None while it waits.
        retried_as: The task that tries it again.
    """

    task_id: str
    task_type: str
    user: str
    tenant: str
    shard: str
    accepted_at: float
    ended_at: float
    settled: Settled | None = None
    retried_as: str | None = None


class Quarantine(Protocol):
    """Quarantined tasks. Raises `ServiceUnavailable` where it cannot be reached."""

    async def waiting(
        self, user: str | None, limit: int, before: str | None
    ) -> list[QuarantinedTask]:
        """Return tasks about which nobody decided yet, newest first; may lag for a moment.

        Args:
            user: Only this user's; everybody's when None.
            limit: How many at most.
            before: Only tasks with an id below this one.
        """

    async def find(self, task_id: str) -> QuarantinedTask | None:
        """Return a quarantined task, settled or not. Never lags."""

    async def settle(
        self, task_id: str, how: Settled, by: str, retried_as: str | None = None
    ) -> bool:
        """Decide about a task, once and for all. Never lags.

        Of several calls exactly one decides; the others hear False, as for a task that is not
        quarantined.

        Args:
            task_id: The task.
            how: What was decided.
            by: Who decided.
            retried_as: The new task, when and only when it was retried.
        """


def read_quarantined(story: Sequence[Event]) -> QuarantinedTask | None:
    """Return the unsettled task that a story tells of, if it ended in quarantine.

    Args:
        story: At least the first event and the last.
    """
    state = fold(story)
    if state is None or not is_quarantine(story[-1]):
        return None
    record, who = state.record, state.record.principal
    return QuarantinedTask(
        record.task_id,
        record.task_type,
        who.user,
        who.tenant,
        state.shard,
        record.accepted_at,
        story[-1].at,
    )


def is_quarantine(event: Event) -> bool:
    """Tell whether an event ends its task in quarantine."""
    return event.kind.terminal and event.data.get("reason") == Reason.QUARANTINED


@dataclass(frozen=True, slots=True)
class Keep:
    """How many seconds what a task left behind is kept after its end.

    Attributes:
        streams: What its agent said.
        events: All of its events, its parameters and its result, and its known effects.
        tasks: That it was there, how it ended, and what it used.
    """

    streams: float
    events: float
    tasks: float


class Retention(Protocol):
    """Forgets what was kept for long enough. Raises `ServiceUnavailable`."""

    async def forget(self, keep: Keep) -> int:
        """Forget a little, and say how much that was; 0 when nothing more is due.

        Any number of processes may call it; one of them works, the others hear 0.
        """
