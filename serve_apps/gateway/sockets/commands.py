"""What clients say on `/v3/ws`: commands, in JSON or MessagePack."""

import base64
import binascii
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgpack
from pydantic import Field
from pydantic_core import from_json, to_json

from cartrita.errors import InvalidMessage, InvalidParameters
from cartrita.protocol.task import TaskRequest
from cartrita.protocol.wire import WireModel
from serve_apps.asgi.strict import parse

LONGEST_ID = 128
DEEPEST = 200
"""Levels of a value in MessagePack, as `strict.parse` bounds those of JSON."""

Ref = str | int | None


class Auth(WireModel):
    """Says who speaks; again, to go on when the token runs out."""

    op: Literal["auth"]
    id: Ref = None
    token: str = Field(min_length=1, max_length=8192, repr=False)


class Submit(WireModel):
    """Submits a task; `wait` answers at its end, `subscribe` shows its events."""

    op: Literal["submit"]
    id: Ref = None
    task: TaskRequest
    idempotency_key: str | None = Field(default=None, pattern=r"^[ -~]{1,255}$")
    traceparent: str | None = Field(default=None, max_length=128)
    wait: bool = False
    subscribe: bool = False


class Subscribe(WireModel):
    """Shows a task's events behind a cursor, to its end."""

    op: Literal["subscribe"]
    id: Ref = None
    task_id: UUID
    after: str | None = Field(default=None, max_length=64)


class Unsubscribe(WireModel):
    """Shows no more of them."""

    op: Literal["unsubscribe"]
    id: Ref = None
    task_id: UUID


class Cancel(WireModel):
    """Cancels a task."""

    op: Literal["cancel"]
    id: Ref = None
    task_id: UUID


class Get(WireModel):
    """Asks where a task stands."""

    op: Literal["get"]
    id: Ref = None
    task_id: UUID


class Stream(WireModel):
    """Feeds a piece into a task; answered when there is room for the next."""

    op: Literal["stream"]
    id: Ref = None
    task_id: UUID
    piece: Literal["start", "data", "end"]
    sequence: int = Field(ge=0, lt=1 << 53)
    content_type: str | None = Field(default=None, max_length=255)
    encoding: Literal["base64"] | None = None
    data: Any = None


class Ping(WireModel):
    """Asks for a sign of life."""

    op: Literal["ping"]
    id: Ref = None


Command = Auth | Submit | Subscribe | Unsubscribe | Cancel | Get | Stream | Ping

MODELS: dict[str, type[Command]] = {
    "auth": Auth,
    "submit": Submit,
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "cancel": Cancel,
    "get": Get,
    "stream": Stream,
    "ping": Ping,
}


UNCOUNTED = (Submit, Stream, Ping)
"""The Door counts tasks; pieces and signs of life are bounded by the rate of messages alone."""


class Frame(NamedTuple):
    """A message as it came, read so far that an answer can name it.

    Attributes:
        packed: Whether it is MessagePack; so are its answers.
        body: The same as JSON.
        data: What a stream's piece holds, which JSON may have no form for.
    """

    packed: bool
    id: Ref
    op: str
    body: bytes
    data: Any = None


def read(message: str | bytes) -> Frame:
    """Read a message: text is JSON, bytes are MessagePack.

    Raises:
        InvalidMessage: It is neither, or no command.
    """
    packed = isinstance(message, bytes)
    said = unpack(message) if isinstance(message, bytes) else _from_text(message)
    if not isinstance(said, dict):
        raise InvalidMessage("A message is an object with `op`.")
    ref, op = said.get("id"), said.get("op")
    known = isinstance(ref, str | int) and not isinstance(ref, bool)
    frame_id = ref if known and len(str(ref)) <= LONGEST_ID else None
    op = op if isinstance(op, str) else ""
    data = said.pop("data", None) if op == "stream" else None
    body = plain(said) if packed or op == "stream" else str(message).encode()
    return Frame(packed, frame_id, op, body, data)


def command(frame: Frame) -> Command:
    """Return what a message orders, checked.

    Raises:
        InvalidMessage: There is no such command.
        InvalidParameters: A field is missing, unknown or wrong.
    """
    model = MODELS.get(frame.op)
    if not frame.op:
        raise InvalidMessage("A message has `op`.", fields=[("op", "is missing")])
    if model is None:
        raise InvalidMessage(
            f"There is no command {frame.op[:50]!r}: there are {', '.join(MODELS)}.",
            fields=[("op", "is unknown")],
        )
    return parse(model, frame.body)


def piece_of(asked: Stream, data: Any) -> Any:
    """Return what a piece holds: a content type, bytes or plain values.

    Raises:
        InvalidParameters: It says that it is base64 and is not.
    """
    if asked.piece == "start":
        return asked.content_type
    return unwrapped(data) if asked.encoding else data


def unwrapped(data: Any) -> bytes:
    """Return bytes that came as base64.

    Raises:
        InvalidParameters: They did not.
    """
    if isinstance(data, bytes):
        return data
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise InvalidParameters("'data' is not base64.", fields=[("data", "is not base64")]) from (
            None
        )


def unpack(message: bytes) -> Any:
    """Return what MessagePack says.

    Raises:
        InvalidMessage: It is not, or has what JSON knows nothing of, or is too deep.
    """
    try:
        value = msgpack.unpackb(message, strict_map_key=True)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise InvalidMessage(f"The message is not MessagePack: {error or 'malformed'}.") from None
    _check(value)
    return value


def _check(value: Any, depth: int = 0) -> None:
    if depth > DEEPEST:
        raise InvalidMessage(f"The message is nested deeper than {DEEPEST}.")
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                raise InvalidMessage("The names in an object are text.")
            _check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
    elif not isinstance(value, str | bytes | bool | int | float | None):
        raise InvalidMessage(f"A {type(value).__name__} is not supported.")


def _from_text(message: str) -> Any:
    try:
        return from_json(message.encode(), allow_inf_nan=False)
    except ValueError as error:
        raise InvalidMessage(f"The message is not JSON: {error}.") from None


def plain(value: Any) -> bytes:
    """Return a value as JSON; bytes become base64.

    Raises:
        InvalidMessage: There is no such form.
    """
    try:
        return to_json(value, bytes_mode="base64", inf_nan_mode="constants")
    except ValueError as error:
        raise InvalidMessage(f"The message has no form in JSON: {error}.") from None
