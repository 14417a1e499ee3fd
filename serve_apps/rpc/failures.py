"""Errors as gRPC tells them: a status, and metadata behind it."""

import grpc

from cartrita.errors import CartritaError, ErrorCode, NotFound, StillRunning
from cartrita.telemetry.log import traceparent

_STATUS = grpc.StatusCode

STATUS: dict[ErrorCode, grpc.StatusCode] = {
    ErrorCode.INVALID_MESSAGE_FORMAT: _STATUS.INVALID_ARGUMENT,
    ErrorCode.INVALID_TASK_TYPE: _STATUS.INVALID_ARGUMENT,
    ErrorCode.INVALID_PARAMETERS: _STATUS.INVALID_ARGUMENT,
    ErrorCode.INSUFFICIENT_BUDGET: _STATUS.FAILED_PRECONDITION,
    ErrorCode.RESOURCE_LIMIT_EXCEEDED: _STATUS.OUT_OF_RANGE,
    ErrorCode.AGENT_UNAVAILABLE: _STATUS.UNAVAILABLE,
    ErrorCode.QUEUE_FULL: _STATUS.UNAVAILABLE,
    ErrorCode.SERVICE_UNAVAILABLE: _STATUS.UNAVAILABLE,
    ErrorCode.RATE_LIMIT_EXCEEDED: _STATUS.RESOURCE_EXHAUSTED,
    ErrorCode.AUTHENTICATION_FAILED: _STATUS.UNAUTHENTICATED,
    ErrorCode.AUTHORIZATION_FAILED: _STATUS.PERMISSION_DENIED,
    ErrorCode.CONFIGURATION_ERROR: _STATUS.UNIMPLEMENTED,
    ErrorCode.INTERNAL_ERROR: _STATUS.INTERNAL,
    ErrorCode.TASK_TIMEOUT: _STATUS.DEADLINE_EXCEEDED,
    ErrorCode.TASK_CANCELLED: _STATUS.ABORTED,
    ErrorCode.AGENT_ERROR: _STATUS.INTERNAL,
    ErrorCode.NETWORK_ERROR: _STATUS.UNAVAILABLE,
}
"""The status of each code when a call is refused with it."""

LONGEST = 1000


def status_of(error: CartritaError) -> grpc.StatusCode:
    """Return the status of an error."""
    if isinstance(error, NotFound):
        return _STATUS.NOT_FOUND
    return _STATUS.ABORTED if isinstance(error, StillRunning) else STATUS[error.code]


def trailers_of(error: CartritaError) -> tuple[tuple[str, str], ...]:
    """Return what follows the status, by the names of HTTP's problem documents and headers."""
    told = [("cartrita-code", error.code.value)]
    if trace := traceparent():
        told.append(("traceparent", trace))
    if error.reason:
        told.append(("cartrita-reason", str(error.reason)))
    if error.retry_after is not None:
        told.append(("retry-after", f"{error.retry_after:g}"))
    if error.fields:
        told.append(("cartrita-fields", ", ".join(f.field for f in error.fields[:20])))
    return tuple((name, _ascii(value)) for name, value in told)


def detail_of(error: CartritaError) -> str:
    """Return the message, not longer than headers may be."""
    return error.message[:LONGEST]


def _ascii(text: str) -> str:
    """Return text that may stand in metadata: what the client wrote may come back in it."""
    return text.encode("ascii", "replace").decode().translate(_CONTROL)[:LONGEST]


_CONTROL = dict.fromkeys((*range(32), 127), "?")
