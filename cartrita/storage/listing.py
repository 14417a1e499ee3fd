"""What lists of tasks are read from: a table a moment behind the journal."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from cartrita.protocol.task import TaskStatus


class Place(NamedTuple):
    """Where a page of a list ended: when its last task was accepted, and that task's id."""

    accepted_at: datetime
    task_id: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks to list; None leaves a question open.

    Attributes:
        user: Whose.
        statuses: Any of these.
        since: Accepted then or later, in Unix seconds.
        until: Accepted before then, in Unix seconds.
    """

    user: str | None = None
    statuses: frozenset[TaskStatus] | None = None
    task_type: str | None = None
    session: str | None = None
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class ListedTask:
    """One row of a list.

    Attributes:
        accepted_at: To the microsecond, as a database keeps it.
        cost_usd: What it has been charged; 0 until it ends.
    """

    task_id: str
    task_type: str
    status: TaskStatus
    priority: int
    user: str
    tenant: str
    accepted_at: datetime
    finished_at: datetime | None = None
    session: str | None = None
    error_code: str | None = None
    reason: str | None = None
    cost_usd: float = 0.0
    tokens: int = 0
    parent: str | None = None
    retry_of: str | None = None

    @property
    def place(self) -> Place:
        """Where a page ends with it."""
        return Place(self.accepted_at, self.task_id)


class TaskTable(Protocol):
    """Accepted tasks. Raises `ServiceUnavailable` where it cannot be reached."""

    async def page(self, wanted: Wanted, limit: int, after: Place | None) -> list[ListedTask]:
        """Return tasks, the last accepted first; may lag for a moment.

        Args:
            wanted: Which.
            limit: How many at most.
            after: Where the page before ended.
        """


def moment(seconds: float) -> datetime:
    """Return a Unix time as the lists compare it."""
    return datetime.fromtimestamp(seconds, UTC)
