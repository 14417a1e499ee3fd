"""Envelopes over gRPC: MCPMessage in, MCPMessage out."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Literal

from google.protobuf import any_pb2, timestamp_pb2

from cartrita.clock import new_id
from cartrita.errors import CartritaError, InvalidMessage, InvalidParameters
from cartrita.protocol.task import TaskRequest
from serve_apps.asgi.strict import parse
from serve_apps.gateway.sockets.bounds import Bounds
from serve_apps.gateway.sockets.commands import Subscribe, plain
from serve_apps.gateway.sockets.envelopes import refusal
from serve_apps.gateway.sockets.session import Session
from serve_apps.rpc.caller import Caller
from serve_apps.rpc.schema import message, name_of, number
from serve_apps.rpc.stream import Stream
from serve_apps.rpc.tasks import submit
from serve_apps.rpc.values import held_in, iso_of, kind_of, pack, request_of, response_of, unpack

Piece = Literal["start", "data", "end"]

_KIND = {"TASK_RESPONSE": "TASK_RESPONSE", "STREAM_DATA": "STREAM_CHUNK"}
"""The types of events here, by those of envelopes; all others are EVENT."""


async def route_message(request: Any, caller: Caller, bounds: Bounds) -> Any:
    """MCPOrchestratorService.RouteMessage."""
    said, kind = request.message, kind_of(request.message)
    if kind == "TASK_REQUEST":
        answer = await submit(_requested(said), caller, wait=True)
        told = _reply(caller, said, "TASK_RESPONSE", _packed(response_of(answer)))
    else:
        session = Session(caller.gate.tasks, caller.who, bounds)
        told = await _stream_piece(caller, session, said, kind)
    return message("RouteMessageResponse")(message=told)


def stream_messages(
    requests: AsyncIterator[Any], caller: Caller, bounds: Bounds
) -> AsyncIterator[Any]:
    """MCPOrchestratorService.StreamMessages."""
    session = Session(caller.gate.tasks, caller.who, bounds)
    stream = Stream(session, bounds, caller.good)
    return stream.run(requests, partial(_take, stream, caller))


async def _take(stream: Stream, caller: Caller, request: Any) -> None:
    said = request.subscription
    try:
        await _do(stream, caller, said, kind_of(said))
    except CartritaError as error:
        await _tell(stream, _reply(caller, said, "ERROR", pack(refusal(error))))


async def _do(stream: Stream, caller: Caller, said: Any, kind: str) -> None:
    tell = partial(_tell_event, stream, caller, said)
    if kind == "TASK_REQUEST":
        answer = await submit(_requested(said), caller, wait=False)
        await stream.follow(answer["taskId"], None, tell)
    elif kind == "EVENT":  # goes on with a task that was submitted before
        given = unpack(said.payload, "payload")
        if not isinstance(given, dict):
            raise InvalidParameters("'payload' is {taskId, after}.", fields=[("payload", "is not")])
        asked = parse(Subscribe, plain({**given, "op": "subscribe"}))
        await caller.counted()
        await stream.follow(str(asked.task_id), asked.after, tell)
    else:
        await _tell(stream, await _stream_piece(caller, stream.session, said, kind))


async def _tell(stream: Stream, told: Any) -> None:
    await stream.tell(message("StreamMessagesResponse")(message=told))


async def _tell_event(stream: Stream, caller: Caller, said: Any, envelope: dict[str, Any]) -> None:
    kind = _KIND.get(envelope["messageType"], "EVENT")
    told = _reply(caller, said, kind, pack(envelope["payload"]))
    told.id, told.correlation_id = envelope["id"], envelope["correlationId"]
    await _tell(stream, told)


def _requested(said: Any) -> TaskRequest:
    """Return the task that a message requests; where both say something, its payload holds."""
    asked = request_of(held_in(said.payload, "TaskRequest", "payload"))
    delivery, context = said.delivery, said.context
    given = {
        "delivery": name_of("DeliveryGuarantee", delivery.guarantee),
        "priority": delivery.priority or None,
        "sessionId": context.session_id or None,
        "workspaceId": context.workspace_id or None,
        "deadline": iso_of(said.expires_at) if said.HasField("expires_at") else None,
    }
    outer = {name: value for name, value in given.items() if value is not None}
    inner = asked.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return parse(TaskRequest, plain({**outer, **inner}))


async def _stream_piece(caller: Caller, session: Session, said: Any, kind: str) -> Any:
    """Feed a piece of a stream into the task whose id the stream has."""
    names: dict[str, tuple[str, Piece]] = {
        "STREAM_START": ("StreamStart", "start"),
        "STREAM_CHUNK": ("StreamData", "data"),
        "STREAM_END": ("StreamEnd", "end"),
    }
    if kind not in names:
        raise InvalidMessage(
            f"A client cannot send {kind} here.", fields=[("message_type", "is not for clients")]
        )
    name, piece = names[kind]
    held = held_in(said.payload, name, "payload")
    task_id = held.stream_id.lower()
    if piece == "start":
        await session.feed(task_id, piece, 0, held.content_type or None)
    elif piece == "data":
        await session.feed(task_id, piece, held.sequence, held.data)
        if held.is_final:
            await session.feed(task_id, "end", held.sequence + 1, None)
    else:
        await _end(session, task_id, held, said)
    return _reply(caller, said, kind, _packed(held))


async def _end(session: Session, task_id: str, held: Any, said: Any) -> None:
    if name_of("StreamStatus", held.status) in ("CANCELLED", "FAILED"):
        await session.tasks.cancel(task_id, session.who)
        return
    place = said.context.metadata.get("sequence", "")
    if not place.isdecimal() or len(place) > 15:  # noqa: PLR2004 - what a double holds
        raise InvalidParameters(
            "A stream ends with its last piece's `is_final`, or here with the number of that piece "
            "and one more in `context.metadata['sequence']`.",
            fields=[("context.metadata", "has no 'sequence'")],
        )
    await session.feed(task_id, "end", int(place), None)


def _packed(held: Any) -> any_pb2.Any:
    told = any_pb2.Any()
    told.Pack(held)
    return told


def _reply(caller: Caller, said: Any, kind: str, payload: any_pb2.Any) -> Any:
    stamp = timestamp_pb2.Timestamp()
    stamp.FromMilliseconds(round(caller.gate.clock.now() * 1000))
    return message("MCPMessage")(
        id=new_id(),
        correlation_id=said.correlation_id or said.id,
        trace_id=said.trace_id,
        sender="orchestrator",
        recipient=said.sender,
        message_type=number("MessageType", kind),
        payload=payload,
        created_at=stamp,
    )
