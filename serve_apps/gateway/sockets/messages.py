"""Envelopes as the older system's clients send them, turned into the Door's verbs."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter, ValidationError

from cartrita.clock import iso, new_id
from cartrita.errors import AuthorizationFailed, InvalidMessage, InvalidParameters
from cartrita.protocol.command import CommandName, CommandRequest
from cartrita.protocol.envelope import Envelope, MessageType
from cartrita.protocol.task import TaskRequest
from cartrita.protocol.wire import WireModel, field_errors
from cartrita.telemetry.log import about, traceparent
from cartrita.telemetry.trace import continue_trace
from serve_apps.asgi.strict import parse
from serve_apps.gateway.gate import Gate
from serve_apps.gateway.sockets.commands import plain, unwrapped
from serve_apps.gateway.sockets.session import Session

UNTIL_CANCELLED = 5.0
"""Seconds for which an answer to a cancellation waits for the task's end."""

_TRACE, _SPAN = re.compile("[0-9a-f]{32}"), re.compile("[0-9a-f]{16}")

_UNCOUNTED = (
    MessageType.TASK_REQUEST,
    MessageType.STREAM_START,
    MessageType.STREAM_DATA,
    MessageType.STREAM_END,
    MessageType.HEARTBEAT,
)
"""As on `/v3/ws`: the Door counts tasks; pieces and signs of life are not requests."""

Answer = tuple[MessageType, dict[str, Any]]


class StreamStart(WireModel):
    """Begins a stream into a task, whose id is the stream's."""

    stream_id: str
    content_type: str | None = Field(default=None, max_length=255)
    metadata: dict[str, Any] = Field(default_factory=dict)
    estimated_size: int = Field(default=0, ge=0)


class StreamData(WireModel):
    """Goes on with it: pieces are counted from 1; bytes, or base64 where there are none."""

    stream_id: str
    sequence: int = Field(ge=1, lt=1 << 53)
    is_final: bool = False


class StreamEnd(WireModel):
    """Ends it, behind the piece before `sequence`."""

    stream_id: str
    sequence: int | None = Field(default=None, ge=1, lt=1 << 53)
    status: Literal["COMPLETED", "CANCELLED", "FAILED"] = "COMPLETED"
    error_message: str | None = None
    total_bytes: int = Field(default=0, ge=0)


class TaskCancel(WireModel):
    """Names the task to cancel."""

    task_id: str


class SystemCommand(WireModel):
    """Orders something; the whole tree is meant where no target is named."""

    type: CommandName | None = None
    target: str = "tree"
    arguments: dict[str, Any] = Field(default_factory=dict)
    reason: str | None = None


_UUID = TypeAdapter(UUID)


class Messages:
    """Answers one client's envelopes.

    Args:
        session: Whose tasks these are.
    """

    def __init__(self, gate: Gate, session: Session) -> None:
        self._gate, self._session = gate, session
        self._sequences: dict[str, int] = {}
        self._verbs: dict[MessageType, Callable[[Envelope, Any], Awaitable[Answer]]] = {
            MessageType.TASK_REQUEST: self._request,
            MessageType.TASK_CANCEL: self._cancel,
            MessageType.STREAM_START: self._start,
            MessageType.STREAM_DATA: self._data,
            MessageType.STREAM_END: self._end,
            MessageType.HEARTBEAT: self._heartbeat,
            MessageType.HEALTH_CHECK: self._health,
            MessageType.SYSTEM_COMMAND: self._command,
            MessageType.CONFIG_UPDATE: self._command,
            MessageType.EMERGENCY_STOP: self._command,
        }

    async def answer(self, envelope: Envelope, data: Any = None) -> dict[str, Any]:
        """Do what an envelope says and return the envelope that answers it.

        Args:
            envelope: The message.
            data: What its payload held under `data`, which may be bytes.

        Raises:
            CartritaError: It cannot be done; the class says why.
        """
        verb = self._verbs.get(envelope.message_type)
        if verb is None:
            names = ", ".join(self._verbs)
            raise InvalidMessage(
                f"A client cannot send {envelope.message_type.value}: it sends one of {names}.",
                fields=[("messageType", "is not for clients")],
            )
        about(continue_trace(_trace(envelope)))
        if envelope.message_type not in _UNCOUNTED:
            await self._gate.limiter.take(self._session.who.user)
        return self.wrap(envelope, *(await verb(envelope, data)))

    def wrap(
        self, envelope: Envelope, kind: MessageType, payload: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the envelope that answers another."""
        about = payload.get("taskId") or payload.get("streamId")
        return {
            "id": new_id(),
            "correlationId": envelope.correlation_id or about or str(envelope.id),
            "replyTo": str(envelope.id),
            "traceId": payload.get("traceId") or envelope.trace_id,
            "sender": "orchestrator",
            "recipient": envelope.sender,
            "messageType": kind.value,
            "payload": payload,
            "createdAt": iso(self._gate.clock.now()),
        }

    async def submit(self, envelope: Envelope, *, wait: bool) -> dict[str, Any]:
        """Submit the task that an envelope requests; a repeat of the message is the same task."""
        about(continue_trace(_trace(envelope)))
        asked = request_of(envelope)
        key = str(envelope.id) if "id" in envelope.model_fields_set else None
        return await self._session.tasks.submit(
            asked, self._session.who, wait=wait, idempotency_key=key, traceparent=traceparent()
        )

    async def _request(self, envelope: Envelope, _data: Any) -> Answer:
        return MessageType.TASK_RESPONSE, await self.submit(envelope, wait=True)

    async def _cancel(self, envelope: Envelope, _data: Any) -> Answer:
        task_id = _task_id("taskId", _payload(TaskCancel, envelope).task_id)
        tasks, who = self._session.tasks, self._session.who
        await tasks.cancel(task_id, who)
        return MessageType.TASK_RESPONSE, await tasks.get(task_id, who, UNTIL_CANCELLED)

    async def _start(self, envelope: Envelope, _data: Any) -> Answer:
        said = _payload(StreamStart, envelope)
        task_id = _task_id("streamId", said.stream_id)
        await self._session.feed(task_id, "start", 0, said.content_type)
        self._sequences[task_id] = 0
        return MessageType.STREAM_START, {"streamId": task_id, "sequence": 0}

    async def _data(self, envelope: Envelope, data: Any) -> Answer:
        said = _payload(StreamData, envelope)
        task_id = _task_id("streamId", said.stream_id)
        await self._session.feed(task_id, "data", said.sequence, unwrapped(data))
        self._sequences[task_id] = said.sequence
        if said.is_final:
            await self._session.feed(task_id, "end", said.sequence + 1, None)
            self._sequences.pop(task_id, None)
        return MessageType.STREAM_DATA, {"streamId": task_id, "sequence": said.sequence}

    async def _end(self, envelope: Envelope, _data: Any) -> Answer:
        said = _payload(StreamEnd, envelope)
        task_id = _task_id("streamId", said.stream_id)
        told = {"streamId": task_id, "status": said.status, "totalBytes": said.total_bytes}
        if said.status != "COMPLETED":  # what came so far is worth nothing
            await self._session.tasks.cancel(task_id, self._session.who)
            return MessageType.STREAM_END, told
        known = self._sequences.pop(task_id, 0) + 1
        await self._session.feed(task_id, "end", said.sequence or known, None)
        return MessageType.STREAM_END, told

    async def _heartbeat(self, _envelope: Envelope, _data: Any) -> Answer:
        now = round(self._gate.clock.now() * 1000)
        return MessageType.HEARTBEAT, {"timestamp": now, "status": "pong"}

    async def _health(self, _envelope: Envelope, _data: Any) -> Answer:
        shards = await self._session.tasks.supervisors()
        up = [one for one in shards if one.get("state", "up") != "down"]
        return MessageType.HEALTH_RESPONSE, {
            "supervisorId": "tree",
            "status": "healthy" if len(up) == len(shards) else "degraded",
            "activeTasks": sum(one.get("inFlight", 0) for one in up),
            "maxConcurrentTasks": sum(one.get("capacity", 0) for one in up),
            "uptime": self._gate.clock.now() - self._gate.started_at,
        }

    async def _command(self, envelope: Envelope, _data: Any) -> Answer:
        return envelope.message_type, await order(self._gate, self._session, envelope)


async def order(gate: Gate, session: Session, envelope: Envelope) -> dict[str, Any]:
    """Carry out an operator's command.

    Raises:
        AuthorizationFailed: The client is no administrator.
    """
    if not session.who.admin:
        raise AuthorizationFailed("Only administrators may do this: sign in as one.")
    said = _payload(SystemCommand, envelope)
    fixed = {
        MessageType.CONFIG_UPDATE: CommandName.CONFIG_UPDATE,
        MessageType.EMERGENCY_STOP: CommandName.EMERGENCY_STOP,
    }
    name = fixed.get(envelope.message_type) or said.type
    if name is None:
        raise InvalidParameters("Say which `type` of command.", fields=[("type", "is missing")])
    given = {"command": name.value, "target": said.target, "arguments": said.arguments}
    asked = parse(CommandRequest, plain(given))
    return await gate.command(asked.command.value, asked.target, asked.checked(), session.who)


def read_envelope(message: Any) -> tuple[Envelope, Any]:
    """Read a message, in full or in its short form; return it and what its payload holds as `data`.

    Raises:
        InvalidMessage: It is no object.
        InvalidParameters: A field is missing, unknown or wrong.
    """
    if not isinstance(message, dict):
        raise InvalidMessage("A message is an object with `messageType` and `payload`.")
    payload, data = message.get("payload"), None
    if isinstance(payload, dict) and message.get("messageType") == MessageType.STREAM_DATA:
        payload = dict(payload)
        data = payload.pop("data", None)
        message = {**message, "payload": payload}
    return parse(Envelope, plain(message)), data


def request_of(envelope: Envelope) -> TaskRequest:
    """Return the task that an envelope requests; where both say something, its payload holds.

    Raises:
        InvalidParameters: A field of the payload is missing, unknown or wrong.
    """
    asked: TaskRequest = _payload(TaskRequest, envelope)
    context, delivery = envelope.context, envelope.delivery
    said = {
        "priority": delivery.priority if "priority" in delivery.model_fields_set else None,
        "delivery": delivery.guarantee if "guarantee" in delivery.model_fields_set else None,
        "deadline": envelope.expires_at,
        "session_id": context.session_id,
        "workspace_id": context.workspace_id,
    }
    update = {
        name: value
        for name, value in said.items()
        if value is not None and name not in asked.model_fields_set
    }
    return asked.model_copy(update=update)


def _payload(model: type[Any], envelope: Envelope) -> Any:
    try:
        return parse(model, plain(envelope.payload))
    except InvalidParameters as error:
        fields = [(f"payload.{f.field}", f.message) for f in error.fields]
        raise InvalidParameters(error.message, fields=fields) from None


def _task_id(field: str, text: str) -> str:
    try:
        return str(_UUID.validate_python(text))
    except ValidationError as error:
        found = field_errors(error)
        told = [(f"payload.{field}", one.message) for one in found]
        raise InvalidParameters(f"{field!r} is the id of a task.", fields=told) from None


def _trace(envelope: Envelope) -> str | None:
    trace, span = envelope.trace_id or "", envelope.span_id or ""
    if _TRACE.fullmatch(trace) and _SPAN.fullmatch(span):
        return f"00-{trace}-{span}-01"
    return envelope.context.baggage.get("traceparent")
