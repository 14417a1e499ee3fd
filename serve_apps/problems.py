"""Errors as clients see them: RFC 9457 problem documents."""

import math
from typing import Any
from urllib.parse import quote

from pydantic_core import to_json
from starlette.responses import Response

from cartrita.errors import (
    AlreadyDecided,
    CartritaError,
    EffectSettled,
    ErrorCode,
    NotFound,
    NothingToRetry,
    Reason,
    StillRunning,
)

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 100
LONGEST_DETAIL, LONGEST_FIELD = 2000, 200
"""Characters: what a client wrote comes back in these, and it may have written a megabyte."""

STATUS: dict[ErrorCode, int] = {
    ErrorCode.INVALID_MESSAGE_FORMAT: 400,
    ErrorCode.INVALID_TASK_TYPE: 400,
    ErrorCode.INVALID_PARAMETERS: 422,
    ErrorCode.INSUFFICIENT_BUDGET: 402,
    ErrorCode.RESOURCE_LIMIT_EXCEEDED: 413,
    ErrorCode.AGENT_UNAVAILABLE: 503,
    ErrorCode.QUEUE_FULL: 503,
    ErrorCode.SERVICE_UNAVAILABLE: 503,
    ErrorCode.RATE_LIMIT_EXCEEDED: 429,
    ErrorCode.AUTHENTICATION_FAILED: 401,
    ErrorCode.AUTHORIZATION_FAILED: 403,
    ErrorCode.CONFIGURATION_ERROR: 501,
    ErrorCode.INTERNAL_ERROR: 500,
    ErrorCode.TASK_TIMEOUT: 503,
    ErrorCode.TASK_CANCELLED: 409,
    ErrorCode.AGENT_ERROR: 502,
    ErrorCode.NETWORK_ERROR: 502,
}
"""The status of each code when a request is refused with it."""

CONFLICTS = (StillRunning, EffectSettled, AlreadyDecided, NothingToRetry)
"""Errors that say how something stands, and not that it was asked for wrongly: 409."""

VIOLATED: dict[str | None, str] = {
    Reason.PRINCIPAL_QUOTA: "principal",
    Reason.SHARED_QUOTA: "shared",
    Reason.ADDRESS_QUOTA: "address",
    Reason.ACCOUNT_QUOTA: "account",
}
"""The quota that a reason names, as draft-ietf-httpapi-ratelimit-headers has it told."""


def status_of(error: CartritaError) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, CONFLICTS):
        return 409
    return STATUS[error.code]


def problem(
    error: CartritaError,
    *,
    status: int | None = None,
    instance: str | None = None,
    trace_id: str | None = None,
) -> Response:
    """Return the response that tells a client about an error."""
    status = status or status_of(error)
    body = document(error, status=status, instance=instance, trace_id=trace_id)
    return Response(to_json(body), status, _headers(error, status), MEDIA_TYPE)


def document(
    error: CartritaError,
    *,
    status: int | None = None,
    instance: str | None = None,
    trace_id: str | None = None,
) -> dict[str, Any]:
    """Return what tells a client about an error."""
    title = (type(error).__doc__ or error.code).splitlines()[0].rstrip(".")
    body: dict[str, Any] = {
        "type": f"urn:cartrita:problem:{error.code.lower().replace('_', '-')}",
        "title": title,
        "status": status or status_of(error),
        "detail": _cut(error.message, LONGEST_DETAIL),
        "code": error.code,
        "retryable": error.retryable,
    }
    where = quote(instance[:LONGEST_DETAIL]) if instance else None  # a URI reference
    optional = {"instance": where, "reason": error.reason, "traceId": trace_id}
    body.update({key: value for key, value in optional.items() if value})
    if error.reason in VIOLATED:
        body["violated-policies"] = [VIOLATED[error.reason]]
    if error.fields:
        body["errors"] = [
            {"field": _cut(f.field, LONGEST_FIELD), "message": _cut(f.message, LONGEST_DETAIL)}
            for f in error.fields[:MOST_ERRORS]
        ]
    return body


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _headers(error: CartritaError, status: int) -> dict[str, str]:
    headers = {}
    passes = status in (429, 503) or isinstance(error, StillRunning)
    if error.retry_after is not None or passes:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 1)))
    if status == 401:  # noqa: PLR2004 - RFC 9110 demands the challenge
        headers["WWW-Authenticate"] = 'Bearer realm="cartrita", error="invalid_token"'
    return headers
