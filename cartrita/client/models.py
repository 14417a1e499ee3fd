"""What the API answers, as the client gives it to its caller.

The answers of a newer server may say more: what is unknown here is passed over.
"""

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from cartrita.client.problems import failure_of
from cartrita.errors import StillRunning
from cartrita.protocol.task import Delivery, TaskMetrics, TaskResponse, TaskStatus
from cartrita.protocol.wire import WireModel

_LENIENT = ConfigDict(extra="ignore")
_ENDS = {status.lower() for status in TaskStatus if status.terminal}


class OutcomeMetrics(TaskMetrics):
    """What a task took. Times in milliseconds, money in USD."""

    model_config = _LENIENT


class Outcome(TaskResponse):
    """A task as the server last knew it. That it failed is a value, not an exception."""

    model_config = _LENIENT

    metrics: OutcomeMetrics = OutcomeMetrics()

    def completed(self) -> dict[str, Any]:
        """Return the plain result of a completed task.

        Raises:
            CartritaError: It did not complete; the class says why. `StillRunning` when it has
                not ended.
        """
        if self.status is TaskStatus.COMPLETED:
            return self.result or {}
        if not self.status.terminal:
            raise StillRunning(f"Task {self.task_id!r} is {self.status.value}: wait for its end.")
        raise failure_of(
            self.error_code or "",
            self.error_message or f"Task {self.task_id!r} is {self.status.value}.",
            self.reason,
        )


class TaskOutcome(Outcome):
    """A task as the server last knew it, with a plain result."""

    def unwrap(self) -> dict[str, Any]:
        """Return the result of a completed task.

        Raises:
            CartritaError: It did not complete; the class says why. `StillRunning` when it has
                not ended.
        """
        return self.completed()


class TaskEvent(WireModel):
    """One line of a task's log.

    Attributes:
        cursor: Its place: later events of the task have greater ones.
        attempt: Which of its attempts said it; a `reset` takes back what earlier ones said.
        type: `accepted`, `queued`, `started`, `progress`, `token`, `tool`, `approval`, `retry`,
            `reset`, or how it ended: `completed`, `failed`, `cancelled`, `timeout`.
        data: Of a token its `text`, of an end the task's response.
    """

    model_config = _LENIENT

    cursor: str = Field(min_length=1)
    task_id: str
    attempt: int | None = None
    type: str
    at: datetime
    data: Any = None

    @property
    def ends(self) -> bool:
        """Whether it is the last one."""
        return self.type in _ENDS


class TaskType(WireModel):
    """A task type in the catalogue: what it takes, gives and costs."""

    model_config = _LENIENT

    task_type: str
    agent: str
    team: str
    summary: str
    cost_usd: float
    max_cost_usd: float
    max_tokens: int
    timeout_ms: int
    idempotent: bool
    delivery: Delivery | None = None
    effects: tuple[str, ...] = ()
    streams: bool = False
    takes_stream: bool = False
    aliases: tuple[str, ...] = ()
    example: dict[str, Any] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(default_factory=dict, description="JSON Schema.")
    result: dict[str, Any] = Field(default_factory=dict, description="JSON Schema.")


class Catalogue(WireModel):
    """Every task type."""

    model_config = _LENIENT

    tasks: list[TaskType]


class BlobInfo(WireModel):
    """A blob that is kept.

    Attributes:
        sha256: Of its bytes, in hex.
    """

    model_config = _LENIENT

    blob_id: str
    content_type: str
    size: int
    sha256: str
    created_at: datetime


class Account(WireModel):
    """Who is signed in."""

    model_config = _LENIENT

    id: str
    email: str
    name: str
    role: str


class Session(WireModel):
    """What calls are authorized with; the refresh token is good for one more session."""

    model_config = _LENIENT

    token: str = Field(min_length=1, repr=False)
    refresh_token: str | None = Field(default=None, repr=False)


class OpenedSession(Session):
    """A session as the server opens it."""

    user: Account


class Discarded(WireModel):
    """Whether a quarantined task was given up; it was not when that was decided already."""

    model_config = _LENIENT

    discarded: bool


class Retried(WireModel):
    """The task that tries another one again."""

    model_config = _LENIENT

    task_id: str


class Cancelled(WireModel):
    """Whether a task was cancelled; it was not when it had ended already."""

    model_config = _LENIENT

    cancelled: bool
