"""What the API answers, as the client gives it to its caller.

The answers of a newer server may say more: what is unknown here is passed over.
"""

from typing import Any

from pydantic import ConfigDict, Field

from cartrita.client.problems import failure_of
from cartrita.errors import StillRunning
from cartrita.protocol.task import TaskMetrics, TaskResponse, TaskStatus
from cartrita.protocol.wire import WireModel

_LENIENT = ConfigDict(extra="ignore")


class OutcomeMetrics(TaskMetrics):
    """What a task took. Times in milliseconds, money in USD."""

    model_config = _LENIENT


class TaskOutcome(TaskResponse):
    """A task as the server last knew it. That it failed is a value, not an exception."""

    model_config = _LENIENT

    metrics: OutcomeMetrics = OutcomeMetrics()

    def unwrap(self) -> dict[str, Any]:
        """Return the result of a completed task.

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
    aliases: tuple[str, ...] = ()
    example: dict[str, Any] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(default_factory=dict, description="JSON Schema.")
    result: dict[str, Any] = Field(default_factory=dict, description="JSON Schema.")


class Catalogue(WireModel):
    """Every task type."""

    model_config = _LENIENT

    tasks: list[TaskType]


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


class Cancelled(WireModel):
    """Whether a task was cancelled; it was not when it had ended already."""

    model_config = _LENIENT

    cancelled: bool
