"""Turns what went wrong on the wire into the classes of `cartrita.errors`."""

import json
from typing import Any, TypeVar

import msgpack
from pydantic import BaseModel, ValidationError

from cartrita.channel.frames import unpack
from cartrita.client.steps import Lost, Reply
from cartrita.client.transport import PACKED
from cartrita.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    CartritaError,
    ChannelLost,
    InternalFailure,
    InvalidMessage,
    NetworkFailed,
    NotFound,
    RateLimitExceeded,
    ResourceLimitExceeded,
    ServiceUnavailable,
    leaves,
)
from cartrita.protocol.patience import seconds_to_wait
from cartrita.spill import MSGPACK

Model = TypeVar("Model", bound=BaseModel)

_OK = range(200, 300)
_CLIENT_ERRORS = range(400, 500)
_BY_STATUS: dict[int, type[CartritaError]] = {
    401: AuthenticationFailed,
    403: AuthorizationFailed,
    404: NotFound,
    413: ResourceLimitExceeded,
    429: RateLimitExceeded,
    502: ServiceUnavailable,
    503: ServiceUnavailable,
    504: ServiceUnavailable,
}


def _kinds() -> dict[tuple[str, str | None], type[CartritaError]]:
    found: dict[tuple[str, str | None], type[CartritaError]] = {}
    for kind in leaves().values():
        found.setdefault((kind.code, kind.default_reason), kind)
    return found


_KINDS = _kinds()


def failure_of(
    code: str,
    message: str,
    reason: str | None = None,
    fields: list[tuple[str, str]] | None = None,
    retry_after: float | None = None,
) -> CartritaError:
    """Return the error of a code; its reason may name a finer class."""
    kind = _KINDS.get((code, reason)) or _KINDS.get((code, None), InternalFailure)
    return kind(message, reason, fields or (), retry_after)


def checked(answer: Reply | Lost | None) -> Reply:
    """Return an answer that came and is not a refusal.

    Raises:
        NetworkFailed: None came, because the call could not be sent.
        ChannelLost: None came, and the server may have read the call.
        CartritaError: It is a refusal.
    """
    assert answer is not None
    if isinstance(answer, Lost):
        raise ChannelLost(answer.why) if answer.sent else NetworkFailed(answer.why)
    if answer.status in _OK:
        return answer
    raise refusal(answer)


def refusal(reply: Reply) -> CartritaError:
    """Return the error that a problem document tells of; without one, the status decides."""
    return told(plain(reply), seconds_to_wait(reply.headers.get("retry-after")), reply.status)


def told(body: dict[str, Any], retry_after: float | None, status: int = 500) -> CartritaError:
    """Return the error of a problem document; `status` decides where there is none."""
    detail = str(body.get("detail") or f"The server answered {status} and does not say why.")
    reason = str(body["reason"]) if body.get("reason") else None
    if "code" not in body:
        error = _kind_of(status)(detail, reason, (), retry_after)
    else:
        error = failure_of(str(body["code"]), detail, reason, _fields(body), retry_after)
    if body.get("traceId"):
        error.add_note(f"trace {body['traceId']}")
    return error


def _kind_of(status: int) -> type[CartritaError]:
    default = InvalidMessage if status in _CLIENT_ERRORS else InternalFailure
    return _BY_STATUS.get(status, default)


def _fields(body: dict[str, Any]) -> list[tuple[str, str]]:
    items = body.get("errors")
    rows = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return [(str(row.get("field", "")), str(row.get("message", ""))) for row in rows]


def plain(reply: Reply) -> dict[str, Any]:
    """Return the JSON object of an answer; an empty one when it holds none."""
    try:
        value = msgpack.unpackb(reply.body) if _packed(reply) else json.loads(reply.body)
    except (ValueError, msgpack.exceptions.UnpackException):
        return {}
    return value if isinstance(value, dict) else {}


def _packed(reply: Reply) -> bool:
    return reply.headers.get("content-type") == PACKED


def read(model: type[Model], reply: Reply) -> Model:
    """Read an answer's body.

    Raises:
        InternalFailure: It is something else, so perhaps the address is somebody else's.
    """
    try:
        if _packed(reply):
            return model.model_validate(plain(reply))
        return model.model_validate_json(reply.body)
    except ValidationError:
        raise _stranger(model.__name__) from None


def read_object(reply: Reply) -> dict[str, Any]:
    """Read an answer's body as plain JSON.

    Raises:
        InternalFailure: It is no JSON object.
    """
    body = plain(reply)
    if not body:
        raise _stranger("JSON object")
    return body


def read_value(reply: Reply) -> dict[str, Any]:
    """Read what a blob holds that a result refers to.

    Raises:
        InternalFailure: It holds no object.
    """
    try:
        packed = reply.headers.get("content-type", "").startswith(MSGPACK)
        value = unpack(reply.body) if packed else json.loads(reply.body)
    except (ValueError, InvalidMessage):
        value = None
    if not isinstance(value, dict):
        raise _stranger("result")
    return value


def read_rows(name: str, reply: Reply) -> list[dict[str, Any]]:
    """Read the list that an answer's body holds under a name.

    Raises:
        InternalFailure: It holds none.
    """
    rows = plain(reply).get(name)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _stranger(f"list of {name}")
    return rows


def _stranger(expected: str) -> InternalFailure:
    return InternalFailure(f"The answer is no {expected}: check that the address is Cartrita's.")
