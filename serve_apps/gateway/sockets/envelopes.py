"""Events and errors as sockets carry them."""

from typing import Any

import msgpack
from pydantic_core import to_json

from cartrita.clock import derived_id
from cartrita.errors import CartritaError
from cartrita.protocol.envelope import MessageType
from cartrita.telemetry.log import traceparent
from cartrita.telemetry.trace import trace_id

ENDS = frozenset({"completed", "failed", "cancelled", "timeout"})
MOST_ERRORS = 100


def envelope_of(event: dict[str, Any]) -> dict[str, Any]:
    """Return the envelope around an event of a task's log.

    Its id follows from the task and the cursor, so a repeat is known on every transport.
    """
    task_id, cursor = event["taskId"], event["cursor"]
    return {
        "id": derived_id(task_id, cursor),
        "messageType": _kind(event["type"]).value,
        "correlationId": task_id,
        "sender": "orchestrator",
        "recipient": "client",
        "createdAt": event["at"],
        "cursor": cursor,
        "payload": event,
    }


def _kind(event_type: str) -> MessageType:
    if event_type in ENDS:
        return MessageType.TASK_RESPONSE
    return MessageType.STREAM_DATA if event_type == "token" else MessageType.TASK_PROGRESS


def refusal(error: CartritaError) -> dict[str, Any]:
    """Return an error as clients see it, with the trace of what is under way here."""
    told: dict[str, Any] = {
        "code": error.code.value,
        "message": error.message[:2000],
        "retryable": error.retryable,
    }
    if trace := traceparent():
        told["traceId"] = trace_id(trace)
    if error.reason:
        told["reason"] = str(error.reason)
    if error.retry_after is not None:
        told["retryAfter"] = error.retry_after
    if error.fields:
        told["errors"] = [
            {"field": f.field[:200], "message": f.message[:2000]}
            for f in error.fields[:MOST_ERRORS]
        ]
    return told


def packed(message: dict[str, Any]) -> bytes:
    """Return a message as MessagePack."""
    frame: bytes = msgpack.packb(message)
    return frame


def written(message: Any) -> str:
    """Return a message as JSON, which knows neither NaN nor bytes (they become base64)."""
    return to_json(message, inf_nan_mode="null", bytes_mode="base64").decode()
