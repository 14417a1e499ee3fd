"""Plain values as `google.protobuf.Any`, and tasks as our messages."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf import any_pb2, json_format, struct_pb2, wrappers_pb2
from google.protobuf.message import DecodeError
from pydantic_core import from_json

from cartrita.errors import InvalidMessage, InvalidParameters
from cartrita.protocol.task import TaskRequest
from serve_apps.asgi.strict import parse
from serve_apps.gateway.sockets.commands import plain
from serve_apps.gateway.sockets.envelopes import written
from serve_apps.rpc.schema import message, name_of, number

EXACT = 1 << 53
"""Whole numbers below this are the same as doubles."""

LARGEST_32 = (1 << 31) - 1
DEEPEST = 60
"""Levels of a Struct; each is two or three levels of messages, of which 100 can be read."""


def pack(value: Any) -> any_pb2.Any:
    """Return a plain value: an object as Struct, or as JSON in a StringValue if it is too deep."""
    told, text = any_pb2.Any(), written(value)
    held: Any = wrappers_pb2.StringValue(value=text)
    if _depth(value) <= DEEPEST:
        held = struct_pb2.Struct() if isinstance(value, dict) else struct_pb2.Value()
        json_format.Parse(text, held)
    told.Pack(held)
    return told


def _depth(value: Any) -> int:
    items = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict | list | tuple):
        return 1 + max((_depth(item) for item in items), default=0)
    return 0


def unpack(told: any_pb2.Any, field: str) -> Any:
    """Return what an Any holds: a Struct, a Value, JSON in a StringValue, or a BytesValue.

    Raises:
        InvalidParameters: It is something else.
    """
    if not told.type_url:
        return {}
    for kind in (struct_pb2.Struct, struct_pb2.Value):
        held: Any = kind()
        if told.Is(held.DESCRIPTOR):
            return _whole(_plain(_unpacked(told, held, field), field))
    text, data = wrappers_pb2.StringValue(), wrappers_pb2.BytesValue()
    if told.Is(text.DESCRIPTOR):
        return _from_text(_unpacked(told, text, field).value, field)
    if told.Is(data.DESCRIPTOR):
        return _unpacked(told, data, field).value
    raise _wrong(field, f"cannot be a {told.type_url[:200]!r}")


def _plain(held: Any, field: str) -> Any:
    try:
        return from_json(json_format.MessageToJson(held), allow_inf_nan=False)
    except (json_format.Error, ValueError):
        raise _wrong(field, "has no form in JSON") from None


def held_in(told: any_pb2.Any, name: str, field: str) -> Any:
    """Return the message of ours that an Any holds.

    Raises:
        InvalidParameters: It holds another.
    """
    held = message(name)()
    if not told.Is(held.DESCRIPTOR):
        raise _wrong(field, f"is a {name}")
    return _unpacked(told, held, field)


def _unpacked(told: any_pb2.Any, held: Any, field: str) -> Any:
    try:
        held.ParseFromString(told.value)
    except DecodeError:
        raise _wrong(field, "cannot be read") from None
    return held


def _from_text(text: str, field: str) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        raise _wrong(field, "is not JSON") from None


def _wrong(field: str, what: str) -> InvalidParameters:
    return InvalidParameters(f"{field!r} {what}.", fields=[(field, what)])


def _whole(value: Any) -> Any:
    """Return the same with doubles that are whole numbers as such: a Struct knows no others."""
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return int(value)
    return value


def request_of(task: Any) -> TaskRequest:
    """Return what a TaskRequest message asks for; an empty field is one left out.

    Raises:
        InvalidParameters: A field is missing or wrong.
    """
    given: dict[str, Any] = {
        "taskType": task.task_type,
        "parameters": unpack(task.parameters, "parameters"),
        "taskId": task.task_id or None,
        "preferredAgent": task.preferred_agent or None,
        "priority": task.priority or None,
        "metadata": dict(task.metadata) or None,
        "deadline": iso_of(task.deadline) if task.HasField("deadline") else None,
    }
    body = {name: value for name, value in given.items() if value is not None}
    return parse(TaskRequest, plain(body))


def iso_of(stamp: Any) -> str:
    """Return a Timestamp as ISO-8601.

    Raises:
        InvalidMessage: No calendar has it.
    """
    try:
        when: datetime = stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidMessage("A timestamp is out of range.") from None
    return when.isoformat()


def response_of(answer: dict[str, Any]) -> Any:
    """Return a TaskResponse in wire form as a message."""
    told = message("TaskResponse")(
        task_id=answer["taskId"],
        status=number("TaskStatus", str(answer["status"])),
        error_message=answer.get("errorMessage") or "",
        error_code=answer.get("errorCode") or "",
        warnings=answer.get("warnings") or [],
    )
    if answer.get("result") is not None:
        told.result.CopyFrom(pack(answer["result"]))
    metrics = answer.get("metrics") or {}
    told.metrics.CopyFrom(
        message("TaskMetrics")(
            processing_time_ms=round(metrics.get("processingTimeMs", 0)),
            queue_time_ms=round(metrics.get("queueTimeMs", 0)),
            retry_count=metrics.get("retryCount", 0),
            cost_usd=metrics.get("costUsd", 0.0),
            tokens_used=min(metrics.get("tokensUsed", 0), LARGEST_32),
            model_used=metrics.get("modelUsed") or "",
            custom_metrics=metrics.get("customMetrics") or {},
        )
    )
    return told


def chunk_of(event: dict[str, Any], *, ended: bool) -> Any:
    """Return an event as a chunk: itself is the `result`; the last has the response's fields."""
    answer = event["data"] if ended else {"taskId": event["taskId"], "status": "RUNNING"}
    told = response_of({**answer, "result": None})
    told.result.CopyFrom(pack(event))
    return message("StreamTaskResponse")(chunk=told)


def kind_of(told: Any) -> str:
    """Return the name of a message's type.

    Raises:
        InvalidMessage: It has none.
    """
    name = name_of("MessageType", told.message_type)
    if name is None:
        raise InvalidMessage(
            "The message has no type we know.", fields=[("message_type", "is unknown")]
        )
    return name
