"""Everything that can go wrong, drawn as one tree.

CartritaError
├── InvalidMessage          INVALID_MESSAGE_FORMAT   the body is not what this door reads
├── InvalidTaskType         INVALID_TASK_TYPE        no agent declares that name
├── InvalidParameters       INVALID_PARAMETERS       a field is missing, unknown or out of range
│   ├── IdempotencyMismatch                          one key, two different payloads
│   ├── EffectSettled                                what became of an effect is known already
│   ├── AddressRefused                               a URL that nobody may have called
│   ├── AlreadyDecided                               somebody approved or denied it, or it expired
│   └── NothingToRetry                               a task completed, or waits in quarantine
├── InsufficientBudget      INSUFFICIENT_BUDGET      the worst case does not fit a budget
├── ResourceLimitExceeded   RESOURCE_LIMIT_EXCEEDED  too large, too long, too deep
├── AgentUnavailable        AGENT_UNAVAILABLE        the agent's workers are given up on
├── QueueFull               QUEUE_FULL               the mailbox is at its bound
├── TaskTimeout             TASK_TIMEOUT             the deadline passed, or cannot be met
├── TaskCancelled           TASK_CANCELLED           somebody asked for it
├── AgentFailed             AGENT_ERROR              the agent's own work failed
│   └── OutcomeUnknown                               nobody can tell whether an effect happened
├── NetworkFailed           NETWORK_ERROR            a provider could not be reached
│   ├── ChannelLost                                  the peer of a mailbox channel went away
│   └── NotDone                                      an effect certainly did not happen
├── AuthenticationFailed    AUTHENTICATION_FAILED    we do not know who this is
├── AuthorizationFailed     AUTHORIZATION_FAILED     we know, and they may not
│   └── NotFound                                     absent, or somebody else's
├── RateLimitExceeded       RATE_LIMIT_EXCEEDED      too many requests in the window
├── ServiceUnavailable      SERVICE_UNAVAILABLE      the journal or the tree cannot be reached
│   ├── StaleEpoch                                   a newer incarnation owns this shard
│   └── StillRunning                                 the first request with this key is at work
├── ConfigurationInvalid    CONFIGURATION_ERROR      a setting is missing or wrong
│   ├── ModelRequired                                no model can do this honestly
│   ├── SandboxUnavailable                           code cannot be run safely here
│   └── MissingExtra                                 an optional package is not installed
└── InternalFailure         INTERNAL_ERROR           a defect of ours

A failure of a task is a value (`TaskResponse`); an exception that crosses an actor
boundary is a crash.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, Self


class ErrorCode(StrEnum):
    """The 17 codes clients may see. The set is closed; finer causes are a `Reason`."""

    INVALID_MESSAGE_FORMAT = "INVALID_MESSAGE_FORMAT"
    INVALID_TASK_TYPE = "INVALID_TASK_TYPE"
    INVALID_PARAMETERS = "INVALID_PARAMETERS"
    INSUFFICIENT_BUDGET = "INSUFFICIENT_BUDGET"
    RESOURCE_LIMIT_EXCEEDED = "RESOURCE_LIMIT_EXCEEDED"
    AGENT_UNAVAILABLE = "AGENT_UNAVAILABLE"
    QUEUE_FULL = "QUEUE_FULL"
    TASK_TIMEOUT = "TASK_TIMEOUT"
    TASK_CANCELLED = "TASK_CANCELLED"
    AGENT_ERROR = "AGENT_ERROR"
    NETWORK_ERROR = "NETWORK_ERROR"
    AUTHENTICATION_FAILED = "AUTHENTICATION_FAILED"
    AUTHORIZATION_FAILED = "AUTHORIZATION_FAILED"
    RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    CONFIGURATION_ERROR = "CONFIGURATION_ERROR"


class Reason(StrEnum):
    """What is finer than a code."""

    MODEL_REQUIRED = "MODEL_REQUIRED"
    EXTRA_REQUIRED = "EXTRA_REQUIRED"
    SANDBOX_UNAVAILABLE = "SANDBOX_UNAVAILABLE"
    QUARANTINED = "QUARANTINED"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    DEADLINE_IMPOSSIBLE = "DEADLINE_IMPOSSIBLE"
    QUALITY_REJECTED = "QUALITY_REJECTED"
    PII_BLOCKED = "PII_BLOCKED"
    NOT_FOUND = "NOT_FOUND"
    STILL_RUNNING = "STILL_RUNNING"
    KEY_REUSED = "KEY_REUSED"
    STALE_EPOCH = "STALE_EPOCH"
    CHANNEL_LOST = "CHANNEL_LOST"
    HOST_DIED = "HOST_DIED"
    STREAM_IDLE = "STREAM_IDLE"
    NOT_DONE = "NOT_DONE"
    EFFECT_SETTLED = "EFFECT_SETTLED"
    ADDRESS_REFUSED = "ADDRESS_REFUSED"
    ALREADY_DECIDED = "ALREADY_DECIDED"
    NOTHING_TO_RETRY = "NOTHING_TO_RETRY"
    DRAINING = "DRAINING"
    PRINCIPAL_QUOTA = "PRINCIPAL_QUOTA"
    SHARED_QUOTA = "SHARED_QUOTA"
    ADDRESS_QUOTA = "ADDRESS_QUOTA"
    ACCOUNT_QUOTA = "ACCOUNT_QUOTA"
    PROVIDER_BUSY = "PROVIDER_BUSY"
    CIRCUIT_OPEN = "CIRCUIT_OPEN"


class FieldError(NamedTuple):
    """One field of a request and what is wrong with it."""

    field: str
    message: str


class CartritaError(Exception):
    """The root of the tree above.

    Args:
        message: One sentence that names the thing and says what to do next.
        reason: The finer cause, when the code alone does not tell.
        fields: What is wrong, field by field.
        retry_after: Seconds after which another try makes sense.
    """

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL_ERROR
    retryable: ClassVar[bool] = False
    default_reason: ClassVar[Reason | None] = None

    def __init__(
        self,
        message: str = "",
        reason: str | None = None,
        fields: Sequence[tuple[str, str]] = (),
        retry_after: float | None = None,
    ) -> None:
        self.message = message or (type(self).__doc__ or self.code).splitlines()[0]
        self.reason = reason or self.default_reason
        self.fields = tuple(FieldError(*field) for field in fields)
        self.retry_after = retry_after
        super().__init__(self.message)

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        """Pickle by plain arguments, so that every leaf survives an actor boundary."""
        return type(self), (self.message, self.reason, self.fields, self.retry_after)

    def to_wire(self) -> dict[str, Any]:
        """Return what `from_wire` on the other side of a channel needs."""
        return {
            "type": type(self).__name__,
            "message": self.message,
            "reason": self.reason,
            "fields": [list(field) for field in self.fields],
            "retry_after": self.retry_after,
        }


class InvalidMessage(CartritaError):
    """The message is not in a format this door reads."""

    code = ErrorCode.INVALID_MESSAGE_FORMAT


class InvalidTaskType(CartritaError):
    """No agent declares this task type."""

    code = ErrorCode.INVALID_TASK_TYPE


class InvalidParameters(CartritaError):
    """A parameter is missing, unknown or out of range."""

    code = ErrorCode.INVALID_PARAMETERS


class IdempotencyMismatch(InvalidParameters):
    """The same idempotency key came with another payload."""

    default_reason = Reason.KEY_REUSED


class EffectSettled(InvalidParameters):
    """What became of this effect is known already, or an attempt is at it now."""

    default_reason = Reason.EFFECT_SETTLED


class AddressRefused(InvalidParameters):
    """This URL may not be called."""

    default_reason = Reason.ADDRESS_REFUSED


class AlreadyDecided(InvalidParameters):
    """Nobody waits for this decision any more."""

    default_reason = Reason.ALREADY_DECIDED


class NothingToRetry(InvalidParameters):
    """This task completed, or waits in quarantine."""

    default_reason = Reason.NOTHING_TO_RETRY


class InsufficientBudget(CartritaError):
    """The worst case of this task does not fit its budget."""

    code = ErrorCode.INSUFFICIENT_BUDGET


class ResourceLimitExceeded(CartritaError):
    """The request is over a limit."""

    code = ErrorCode.RESOURCE_LIMIT_EXCEEDED


class AgentUnavailable(CartritaError):
    """No worker of this agent can be had."""

    code = ErrorCode.AGENT_UNAVAILABLE
    retryable = True


class QueueFull(CartritaError):
    """The supervisor's mailbox is full."""

    code = ErrorCode.QUEUE_FULL
    retryable = True


class TaskTimeout(CartritaError):
    """The deadline passed before the task ended."""

    code = ErrorCode.TASK_TIMEOUT
    retryable = True


class TaskCancelled(CartritaError):
    """The task was cancelled."""

    code = ErrorCode.TASK_CANCELLED


class AgentFailed(CartritaError):
    """The agent could not do the work."""

    code = ErrorCode.AGENT_ERROR


class OutcomeUnknown(AgentFailed):
    """Nobody can tell whether an effect on the outside world happened."""

    default_reason = Reason.OUTCOME_UNKNOWN


class NetworkFailed(CartritaError):
    """A provider could not be reached."""

    code = ErrorCode.NETWORK_ERROR
    retryable = True


class ChannelLost(NetworkFailed):
    """The peer closed the channel; whether it did the work is unknown."""

    default_reason = Reason.CHANNEL_LOST


class NotDone(NetworkFailed):
    """An effect on the outside world certainly did not happen; it may be tried again."""

    default_reason = Reason.NOT_DONE


class AuthenticationFailed(CartritaError):
    """The credentials are missing, wrong or expired."""

    code = ErrorCode.AUTHENTICATION_FAILED


class AuthorizationFailed(CartritaError):
    """The principal may not do this."""

    code = ErrorCode.AUTHORIZATION_FAILED


class NotFound(AuthorizationFailed):
    """There is no such thing here, or it belongs to somebody else."""

    default_reason = Reason.NOT_FOUND


class RateLimitExceeded(CartritaError):
    """Too many requests in the window."""

    code = ErrorCode.RATE_LIMIT_EXCEEDED
    retryable = True


class ServiceUnavailable(CartritaError):
    """A part that is needed to accept work cannot be reached."""

    code = ErrorCode.SERVICE_UNAVAILABLE
    retryable = True


class StaleEpoch(ServiceUnavailable):
    """A newer incarnation of this supervisor owns the shard."""

    default_reason = Reason.STALE_EPOCH


class StillRunning(ServiceUnavailable):
    """The first request with this idempotency key is still at work."""

    default_reason = Reason.STILL_RUNNING


class ConfigurationInvalid(CartritaError):
    """A setting is missing or wrong."""

    code = ErrorCode.CONFIGURATION_ERROR


class ModelRequired(ConfigurationInvalid):
    """No configured or built-in model can do this honestly."""

    default_reason = Reason.MODEL_REQUIRED


class SandboxUnavailable(ConfigurationInvalid):
    """Nothing on this machine can run code safely."""

    default_reason = Reason.SANDBOX_UNAVAILABLE


class MissingExtra(ConfigurationInvalid):
    """An optional package is not installed."""

    default_reason = Reason.EXTRA_REQUIRED


class InternalFailure(CartritaError):
    """Something went wrong on our side."""

    code = ErrorCode.INTERNAL_ERROR
    retryable = True


def leaves(root: type[CartritaError] = CartritaError) -> dict[str, type[CartritaError]]:
    """Return every class below `root` by its name."""
    found: dict[str, type[CartritaError]] = {}
    for child in root.__subclasses__():
        found[child.__name__] = child
        found.update(leaves(child))
    return found


def from_wire(body: dict[str, Any]) -> CartritaError:
    """Rebuild the error a peer sent with `CartritaError.to_wire`."""
    kind = leaves().get(str(body.get("type")), InternalFailure)
    fields = [(str(name), str(text)) for name, text in body.get("fields") or ()]
    return kind(str(body.get("message", "")), body.get("reason"), fields, body.get("retry_after"))
