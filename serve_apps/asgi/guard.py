"""Surrounds a door's routes: bounds what comes in, explains what goes wrong."""

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cartrita.edge import DOOR_HEADER
from cartrita.errors import (
    CartritaError,
    InternalFailure,
    InvalidMessage,
    NotFound,
    ResourceLimitExceeded,
)
from cartrita.telemetry.log import about, get_logger
from cartrita.telemetry.metrics import TRANSPORT_ERRORS, labelled
from cartrita.telemetry.request import serving
from cartrita.telemetry.trace import continue_trace, trace_id
from serve_apps.asgi.departure import Departure
from serve_apps.asgi.negotiation import shaping
from serve_apps.asgi.visits import Visit, Visits
from serve_apps.problems import problem

log = get_logger(__name__)

MAX_DIGITS = 18
"""Of a Content-Length; more cannot be meant."""

PACE = 32_768
"""Bytes per second that the sender of a long body must keep up with."""

_TOO_SLOW = 408
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)


OLDER_DOOR = (DOOR_HEADER.lower().encode(), b"v2")
"""The header that our edge sets on requests to the older API's own port."""


def from_v2(scope: Scope) -> bool:
    """Tell whether a request came to the older API's own port: our edge says so."""
    return OLDER_DOOR in scope["headers"]


class Older(Protocol):
    """An older API beside ours, with limits and words of its own.

    Attributes:
        largest: Bytes of the longest body; it bounds the exchange itself once it knows more.
    """

    largest: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever goes wrong."""

    def owns(self, scope: Scope) -> bool:
        """Tell whether it is for its part of the paths."""

    def explain(self, error: Exception, path: str) -> Response:
        """Return an error in its words."""


class Guard:
    """Bounds a request's body and turns whatever goes wrong into a problem document.

    Args:
        app: The routes. Not a whole Starlette, which would answer for errors itself.
        max_body: Bytes; a longer body is refused before it is read where its length is told.
        body_timeout: Seconds a client may take to send its body.
        roomy: Longest bodies of paths that take longer ones, as they come; a client may take
            a second more for each `PACE` bytes of those.
        older: What answers for its own paths, also for what is refused before it sees it.
        visits: Tells of requests as traces.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_body: int,
        body_timeout: float = 10.0,
        roomy: Mapping[str, int] | None = None,
        older: Older | None = None,
        visits: Visits | None = None,
    ) -> None:
        self._visits = visits
        self._app, self._max_body, self._body_timeout = app, max_body, body_timeout
        self._roomy, self._older = roomy or {}, older

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._roomy.get(scope["path"], self._max_body)
        exchange = Exchange(scope, receive, send, most, self._body_timeout)
        if scope["path"] in self._roomy:
            exchange.pace = PACE
        if self._older and self._older.owns(scope):
            exchange.concede(self._older)
        scope["exchange"] = exchange
        if self._visits:
            exchange.visit = self._visits.begin(scope, exchange.traceparent)
            exchange.traceparent = exchange.visit.traceparent
            serving(exchange.visit.brief)
        about(exchange.traceparent)
        try:
            await self._served(scope, exchange)
        finally:
            if exchange.visit:
                exchange.visit.end()

    async def _served(self, scope: Scope, exchange: "Exchange") -> None:
        try:
            exchange.check_length()
            with Departure(exchange):
                await self._app(scope, exchange.receive, exchange.send)
        except CartritaError as error:
            await exchange.fail(error)
        except HTTPException as error:
            await exchange.refuse(error)
        except ClientDisconnect:
            pass  # nobody is there to be told
        except Exception:
            log.exception("request_failed", path=scope["path"], request_id=exchange.request_id)
            await exchange.fail(InternalFailure("The request failed on our side."))


class Exchange:
    """One request and its answer, with the limits between them.

    Attributes:
        headers: The request's, by their lower-case names; of repeated ones the last.
        explain: Makes the answer for an error; None makes a problem document.
        kept: Parts of the body that have come, where somebody wants them again.
        more: Tells what else stands in the answer's head.
        pace: Bytes of the body that give a client another second to send it; 0 gives none.
        traceparent: The caller's, or that of a new trace.
        request_id: The caller's, or the trace's id.
        visit: What is told of it as a trace, where that is told.
    """

    __slots__ = (
        "_complete",
        "_ended",
        "_limit",
        "_read",
        "_receive",
        "_scope",
        "_send",
        "_started",
        "_timeout",
        "_until",
        "explain",
        "headers",
        "kept",
        "more",
        "pace",
        "request_id",
        "traceparent",
        "visit",
    )

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, limit: int, timeout: float
    ) -> None:
        self._scope, self._receive = scope, receive
        self._limit, self._timeout, self._until = limit, timeout, 0.0
        self._read, self._complete, self._started, self._ended = 0, False, False, False
        self.pace = 0
        self.visit: Visit | None = None
        self.kept: list[bytes] | None = None
        self.more: Callable[[], list[tuple[bytes, bytes]]] | None = None
        self.explain: Callable[[Exception, str], Response] | None = None
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._send = shaping(self.headers, send)
        trace = self.headers.get(b"traceparent")
        self.traceparent = continue_trace(trace.decode("latin-1") if trace else None)
        known = _REQUEST_ID.fullmatch(self.headers.get(b"x-request-id", b""))
        self.request_id = known[0] if known else trace_id(self.traceparent).encode()

    def concede(self, older: Older) -> None:
        """Have the limits and the words of an older API."""
        self._limit, self.pace, self.explain = older.largest, PACE, older.explain

    def bound(self, limit: int) -> None:
        """Take no longer body than this, of which nothing was read yet.

        Raises:
            ResourceLimitExceeded: It says that it is longer.
        """
        self._limit = limit
        self.check_length()

    def check_length(self) -> None:
        """Refuse a body that says that it is too long."""
        length = self.headers.get(b"content-length")
        if length is None:
            return
        if not length.isdigit() or len(length) > MAX_DIGITS:
            raise InvalidMessage("The header 'Content-Length' is not a number of bytes.")
        if int(length) > self._limit:
            raise self._too_long()

    def _too_long(self) -> ResourceLimitExceeded:
        return ResourceLimitExceeded(f"The body is over the limit of {self._limit} bytes.")

    def outlived(self) -> str:
        """Return the `traceparent` of tasks that go on after the answer.

        How they end is not known by then, so that the request is told of as part of their trace.
        """
        if self.visit:
            self.visit.special = True
        return self.traceparent

    @property
    def started(self) -> bool:
        """Whether an answer is on its way."""
        return self._started

    @property
    def ended(self) -> bool:
        """Whether an answer is complete."""
        return self._ended

    @property
    def read(self) -> bool:
        """Whether there is nothing more of the body to come."""
        return self._complete or not self.has_body

    @property
    def has_body(self) -> bool:
        """Whether the client announced a body."""
        length = self.headers.get(b"content-length", b"0")
        return length != b"0" or b"transfer-encoding" in self.headers

    async def receive(self) -> Message:
        """Pass on a part of the body, counting; after its end, whatever comes."""
        if self._complete:
            return await self._receive()
        if not self._until:
            self._until = asyncio.get_running_loop().time() + self._timeout
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(_TOO_SLOW) from None
        size = len(message.get("body", b""))
        self._read += size
        if self.kept is not None:
            self.kept.append(message.get("body", b""))
        if self.pace:
            self._until += size / self.pace
        self._complete = not message.get("more_body", False)
        if self._read > self._limit:
            raise self._too_long()
        return message

    async def left(self) -> None:
        """Wait until the client has left; only when it was `read`."""
        self._complete = True  # who asks for a body that there is not, need not wait for it
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def body(self) -> bytes:
        """Return the whole body, once.

        Raises:
            ClientDisconnect: The client left before its end.
        """
        parts = []
        while not self._complete:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer, with our headers."""
        if message["type"] == "http.response.start":
            self._started = True
            if self.visit:
                self.visit.status = message["status"]
            headers = list(message.get("headers", ()))
            there = {name for name, _ in headers}
            headers += [item for item in _SECURITY if item[0] not in there]
            headers.append((b"x-request-id", self.request_id))
            headers.append((b"traceparent", self.traceparent.encode()))
            if self.more:
                headers += self.more()
            message["headers"] = headers
        elif not message.get("more_body", False):
            self._ended = True
        await self._send(message)

    async def refuse(self, error: HTTPException) -> None:
        """Answer for what the routing or the reading of the body refuses."""
        path = self._scope["path"][:200]
        asked = f"{self._scope['method'][:20]} {path!r}"
        refusals: dict[int, CartritaError] = {
            404: NotFound(f"There is nothing at {path!r}."),
            405: InvalidMessage(f"{asked} is not offered: see the header 'Allow'."),
            _TOO_SLOW: InvalidMessage("The body took too long to arrive."),
        }
        refusal = refusals.get(error.status_code) or InvalidMessage(f"{asked}: {error.detail}.")
        await self.fail(refusal, error.status_code, error.headers)

    async def fail(
        self,
        error: CartritaError,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer with a problem, unless an answer is on its way already.

        In that case the server ends the connection, because the answer stays incomplete.
        """
        labelled(TRANSPORT_ERRORS, "http", error.code.value).inc()
        if self._started:
            return
        path, trace = self._scope["path"], trace_id(self.traceparent)
        if self.explain:
            answer = self.explain(error, path)
            answer.status_code = status or answer.status_code
        else:
            answer = problem(error, status=status, instance=path, trace_id=trace)
        answer.headers.update(headers or {})
        if isinstance(error, ResourceLimitExceeded) or status == _TOO_SLOW:
            answer.headers["connection"] = "close"  # the rest of the body is not read
        with suppress(OSError):
            await answer(self._scope, self._receive, self.send)


def exchange_of(request: Request) -> Exchange:
    """Return the exchange that the guard began for a request."""
    exchange: Exchange = request.scope["exchange"]
    return exchange
