"""Tasks as clients see them: request, response, status."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from cartrita.errors import ErrorCode
from cartrita.protocol.wire import WireModel

MIN_TIMEOUT_MS = 1_000
"""The shortest timeout a client may ask for."""

MAX_TIMEOUT_MS = 24 * 3_600_000
"""One day: what runs longer is a schedule, not a task."""

Name = Annotated[
    str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")
]
"""A short printable label."""


class TaskStatus(StrEnum):
    """Where a task stands. The last four are terminal."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMEOUT = "TIMEOUT"

    @property
    def terminal(self) -> bool:
        """Whether nothing can change any more."""
        return self not in (TaskStatus.PENDING, TaskStatus.RUNNING)


class Delivery(StrEnum):
    """What may happen to a task that had started when its host died."""

    AT_MOST_ONCE = "AT_MOST_ONCE"
    AT_LEAST_ONCE = "AT_LEAST_ONCE"
    EXACTLY_ONCE = "EXACTLY_ONCE"

    def repeats(self, *, safe: bool) -> bool:
        """Tell whether a task that had started may start again.

        Args:
            safe: Its type says that this does no harm.
        """
        return self is Delivery.AT_LEAST_ONCE or (self is Delivery.EXACTLY_ONCE and safe)


class Budget(WireModel):
    """The ceiling of one task and its children."""

    max_usd: float | None = Field(default=None, ge=0, le=1e9)
    max_tokens: int | None = Field(default=None, ge=0, le=10**15)


class Preferences(WireModel):
    """Hints to model selection."""

    quality_level: Literal["fast", "balanced", "best"] = "balanced"
    cost_optimization: bool = False
    streaming: bool = False
    min_confidence: float | None = Field(
        default=None, ge=0, le=1, description="The least confidence that an answer must have."
    )
    cache: Literal["use", "refresh", "off"] = Field(
        default="use",
        description="`refresh` (or `Cache-Control: no-cache`) works anew and keeps the answer; "
        "`off` (or `no-store`) keeps it nowhere.",
    )


NO_PREFERENCES = Preferences()


class TaskRequest(WireModel):
    """What a client submits."""

    task_type: Name
    parameters: dict[str, Any]
    priority: int = Field(default=5, ge=0, le=10, description="Higher runs first.")
    timeout: int | None = Field(
        default=None,
        ge=MIN_TIMEOUT_MS,
        le=MAX_TIMEOUT_MS,
        description="Milliseconds from acceptance to the end, queue included.",
    )
    deadline: datetime | None = Field(
        default=None, description="The earlier of this and `timeout` holds."
    )
    task_id: UUID | None = Field(default=None, description="Mint it, and a repeat is one task.")
    delivery: Delivery | None = None
    session_id: Name | None = None
    workspace_id: Name | None = None
    budget: Budget | None = None
    preferences: Preferences | None = None
    preferred_agent: Name | None = None
    metadata: dict[Name, Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=dict, max_length=64
    )


class TaskMetrics(WireModel):
    """What a task took. Times in milliseconds, money in USD."""

    processing_time_ms: float = 0.0
    queue_time_ms: float = 0.0
    retry_count: int = 0
    cost_usd: float = 0.0
    tokens_used: int = 0
    model_used: str | None = None
    custom_metrics: dict[str, float] = Field(default_factory=dict)


class TaskResponse(WireModel):
    """What a client reads back: one shape for every end a task can come to."""

    task_id: str
    status: TaskStatus
    result: dict[str, Any] | None = Field(
        default=None,
        description='As the type declares, or `{"$blob": {"id", "size", "contentType", "sha256"}}` '
        "in its place where it is large: `GET /v3/blobs/{id}` gives it.",
    )
    error_message: str | None = None
    error_code: ErrorCode | None = None
    reason: str | None = None
    retryable: bool | None = None
    metrics: TaskMetrics = TaskMetrics()
    warnings: list[str] = Field(default_factory=list)
    trace_id: str | None = None
