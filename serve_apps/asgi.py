"""What every door does around its routes: limits, identity, errors."""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cartrita.clock import new_id
from cartrita.errors import (
    AuthenticationFailed,
    CartritaError,
    InternalFailure,
    InvalidMessage,
    InvalidParameters,
    ResourceLimitExceeded,
)
from cartrita.protocol.wire import field_errors
from cartrita.telemetry.log import get_logger
from cartrita.telemetry.trace import continue_trace, trace_id
from serve_apps.problems import problem

log = get_logger(__name__)

Model = TypeVar("Model", bound=BaseModel)

LONGEST_TOKEN = 8192
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
_NO_NUMBER = re.compile(rb"NaN|Infinity")
_SECURITY = (
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
)


class Guard:
    """Bounds a request's body and turns whatever goes wrong into a problem document.

    Args:
        app: The routes.
        max_body: Bytes; a longer body is refused before it is read where its length is told.
    """

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        self._app, self._max_body = app, max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        asked = headers.get("x-request-id", "")
        request_id = asked if _REQUEST_ID.match(asked) else new_id()
        scope["traceparent"] = continue_trace(headers.get("traceparent"))
        exchange = _Exchange(receive, send, self._max_body, request_id)
        try:
            exchange.announced(headers.get("content-length"))
            await self._app(scope, exchange.receive, exchange.send)
        except CartritaError as error:
            await exchange.fail(error, scope)
        except Exception:
            log.exception("request_failed", path=scope["path"], request_id=request_id)
            await exchange.fail(InternalFailure("The request failed on our side."), scope)


class _Exchange:
    """One request and its answer, with the limits between them."""

    def __init__(self, receive: Receive, send: Send, max_body: int, request_id: str) -> None:
        self._receive, self._send = receive, send
        self._left, self._max_body, self._request_id = max_body, max_body, request_id
        self._started = False

    def announced(self, length: str | None) -> None:
        """Refuse a body that says that it is too long."""
        if length is not None and (not length.isdecimal() or int(length) > self._max_body):
            raise self._too_long()

    def _too_long(self) -> ResourceLimitExceeded:
        return ResourceLimitExceeded(f"The body is over the limit of {self._max_body} bytes.")

    async def receive(self) -> Message:
        """Pass on a part of the body, counting."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise self._too_long()
        return message

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer, with our headers."""
        if message["type"] == "http.response.start":
            self._started = True
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._request_id
            for name, value in _SECURITY:
                if name not in headers:
                    headers[name] = value
        await self._send(message)

    async def fail(self, error: CartritaError, scope: Scope) -> None:
        """Answer with a problem, unless an answer is on its way already."""
        if self._started:
            return
        answer = problem(error, instance=scope["path"], trace_id=trace_id(scope["traceparent"]))
        if isinstance(error, ResourceLimitExceeded):
            answer.headers["connection"] = "close"  # the rest of the body is not read
        with suppress(OSError):
            await answer(scope, self._receive, self.send)


def bearer(request: Request) -> str:
    """Return the token of a request.

    Raises:
        AuthenticationFailed: There is none.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > LONGEST_TOKEN:
        raise AuthenticationFailed(
            "Send an access token: `Authorization: Bearer …`. POST /auth/login gives one.",
        )
    return token.strip()


async def read_json(request: Request) -> bytes:
    """Return a JSON body's bytes.

    Raises:
        InvalidMessage: It says that it is something else.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise InvalidMessage(
            f"Send `Content-Type: application/json`, not {kind or 'nothing'!r}.",
            fields=[("Content-Type", "must be application/json")],
        )
    return await request.body()


def parse(model: type[Model], body: bytes) -> Model:
    """Read a JSON body into a model, strictly.

    Raises:
        InvalidMessage: It is not JSON: malformed, NaN, too deep, or not UTF-8.
        InvalidParameters: A field is missing, unknown, of another type, or out of range.
    """
    try:
        if _NO_NUMBER.search(body):
            from_json(body, allow_inf_nan=False)
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise InvalidMessage(f"The body is not JSON: {first['msg']}.") from None
        fields = field_errors(error)
        names = ", ".join(field.field for field in fields[:5])
        raise InvalidParameters(f"The request does not fit: see {names}.", fields=fields) from None
    except ValueError as error:
        raise InvalidMessage(f"The body is not JSON: {error}.") from None


def header_text(request: Request, name: str, check: Callable[[str], bool]) -> str | None:
    """Return a header's text without its quotes; None when it is absent.

    Raises:
        InvalidMessage: `check` does not accept it.
    """
    value: str | None = request.headers.get(name)
    if value is None:
        return None
    text = value.strip().strip('"')
    if not check(text):
        raise InvalidMessage(f"The header {name!r} is wrong.", fields=[(name, "is wrong")])
    return text
