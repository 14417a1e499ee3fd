"""Messages as the older system's clients write them: an envelope around a payload.

Field names are the old ones; what the old code demanded and never used is optional here, so
that the short form of its README (`messageType` and `payload`) is a whole message.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from cartrita.clock import new_uuid
from cartrita.protocol.task import Delivery, Name
from cartrita.protocol.wire import WireModel

LONGEST_LIST = 256


class MessageType(StrEnum):
    """What a message is."""

    TASK_REQUEST = "TASK_REQUEST"
    TASK_RESPONSE = "TASK_RESPONSE"
    TASK_PROGRESS = "TASK_PROGRESS"
    TASK_CANCEL = "TASK_CANCEL"
    STREAM_START = "STREAM_START"
    STREAM_DATA = "STREAM_DATA"
    STREAM_END = "STREAM_END"
    HEARTBEAT = "HEARTBEAT"
    HEALTH_CHECK = "HEALTH_CHECK"
    HEALTH_RESPONSE = "HEALTH_RESPONSE"
    AGENT_REGISTER = "AGENT_REGISTER"
    AGENT_DEREGISTER = "AGENT_DEREGISTER"
    SYSTEM_COMMAND = "SYSTEM_COMMAND"
    CONFIG_UPDATE = "CONFIG_UPDATE"
    EMERGENCY_STOP = "EMERGENCY_STOP"


class CostBudget(WireModel):
    """What a conversation may spend and has spent; `model_costs` is USD per 1,000 tokens."""

    max_usd: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=0)
    used_usd: float = Field(default=0.0, ge=0)
    used_tokens: int = Field(default=0, ge=0)
    model_costs: dict[Name, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)


class ResourceLimits(WireModel):
    """What the work may use."""

    max_cpu_percent: float | None = Field(default=None, ge=0, le=100)
    max_memory_mb: int | None = Field(default=None, ge=0)
    max_concurrent_requests: int | None = Field(default=None, ge=1)
    max_processing_time_ms: int | None = Field(default=None, ge=0)


class MessageContext(WireModel):
    """Whose work a message belongs to, and how long it may take."""

    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    baggage: dict[str, str] = Field(default_factory=dict)
    user_id: Name | None = None
    session_id: Name | None = None
    workspace_id: Name | None = None
    request_id: Name | None = None
    timeout_ms: int = Field(default=30_000, ge=1)
    metadata: dict[str, Any] = Field(default_factory=dict)
    budget: CostBudget | None = None
    limits: ResourceLimits | None = None


class DeliveryOptions(WireModel):
    """What is promised about a message. The defaults are those of a task."""

    guarantee: Delivery = Delivery.AT_LEAST_ONCE
    retry_count: int = Field(default=3, ge=0, le=10)
    retry_delay_ms: int = Field(default=1000, ge=0, le=60_000)
    require_ack: bool = True
    priority: int = Field(default=5, ge=0, le=10)


class Envelope(WireModel):
    """One message.

    Attributes:
        id: Tells a repeat from a new message.
        correlation_id: The task a message is about.
    """

    message_type: MessageType
    payload: Any
    id: UUID = Field(default_factory=new_uuid)
    correlation_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    sender: Name = "client"
    recipient: Name = "orchestrator"
    tags: list[Name] = Field(default_factory=list, max_length=LONGEST_LIST)
    context: MessageContext = MessageContext()
    delivery: DeliveryOptions = DeliveryOptions()
    created_at: datetime | None = None
    expires_at: datetime | None = None
    security_token: str | None = Field(default=None, repr=False)
    permissions: list[str] = Field(default_factory=list, max_length=LONGEST_LIST)
