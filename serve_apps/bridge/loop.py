"""The loop: finds a call's row, does what its verb says, gives the answer its shape."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cartrita.clock import iso
from cartrita.errors import CartritaError, InternalFailure, InvalidParameters, ResourceLimitExceeded
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import Budget
from cartrita.telemetry.log import get_logger
from serve_apps.asgi.guard import Exchange, from_v2
from serve_apps.bridge.answers import Refusal, Terms, answer, nowhere, refusal_of, unread
from serve_apps.bridge.bodies import check_kind, query_of, read_body
from serve_apps.bridge.calls import Call, Document
from serve_apps.bridge.expressions import Expression, Unfit
from serve_apps.bridge.people import asking, seen
from serve_apps.bridge.table import MEGABYTE, Ready, Row, Table, load
from serve_apps.gateway.gate import Gate

log = get_logger(__name__)

PREFIX = "/api"
OWN = ("/", "/health")
"""Paths outside of `/api` that are v2's, on its own port."""

_SANDBOXED = "default-src 'none'; sandbox; frame-ancestors 'none'"


class Bridge:
    """v2 on both ports: what is under `/api`, and on v2's own what v3 has not.

    Args:
        terms: What answers say of v2's end.
        table: The rows; by default all there are.
        guest_budget: The ceiling of a guest's task.
    """

    def __init__(
        self,
        terms: Terms | None = None,
        table: Table | None = None,
        guest_budget: Budget | None = None,
    ) -> None:
        self.table = table or load()
        self.terms = terms or Terms()
        self.guest_budget = guest_budget
        self.largest = self.table.largest
        self._marks = self.terms.headers

    def owns(self, scope: Scope) -> bool:
        """Tell whether a request is the bridge's to answer."""
        path: str = scope["path"]
        if path.startswith(PREFIX):
            return path == PREFIX or path.startswith(f"{PREFIX}/")
        return path in OWN and from_v2(scope)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        path, row = scope["path"], None
        try:
            ready, places = self._found(scope)
            row = ready.row
            response = await self._answered(Request(scope, receive), ready, places)
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 - told in v2's shape, and logged there
            response = self.explain(error, path, row)
        await response(scope, receive, send)

    def _found(self, scope: Scope) -> tuple[Ready, dict[str, str]]:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        found = self.table.find(method, scope["path"])
        if found is None:
            raise nowhere(scope["path"], self.terms.guide)
        return found

    async def _answered(self, request: Request, ready: Ready, places: dict[str, str]) -> Response:
        row, gate = ready.row, request.app.gate
        exchange: Exchange = request.scope["exchange"]
        exchange.bound(row.largest_mb * MEGABYTE)
        check_kind(request)
        counted = row.counted or (row.task is None and row.auth != "nobody")
        who, claims = await asking(request, gate, row.auth, counted=counted)
        if row.later is not None:  # before a body is read that nobody needs
            raise later(row.later)
        body, files = await read_body(request, row)
        document = self.document(gate, who, request.method, request.scope["path"])
        document |= {"body": body, "query": query_of(request), "path": places}
        document |= {"headers": request.headers, "files": _seen(files)}
        document["call"]["id"] = exchange.request_id.decode()
        call = Call(
            gate=gate,
            desk=request.app.desk,
            document=document,
            who=who,
            claims=claims,
            files=files,
            request=request,
            traceparent=exchange.traceparent,
            guest_budget=self.guest_budget,
        )
        return self._shaped(call, row, await done(call, ready))

    def document(self, gate: Gate, who: Principal | None, method: str, path: str) -> Document:
        """Return what expressions see of any call."""
        return Document(
            user=seen(who), now=iso(gate.clock.now()), call={"method": method, "path": path}
        )

    def _shaped(self, call: Call, row: Row, body: Any) -> Response:
        status = call.status or row.status
        if row.binary:
            response = Response(body, status, media_type=call.media_type)
            response.headers["Content-Security-Policy"] = _SANDBOXED
        else:
            path = call.document["call"]["path"]
            response = answer(body, status, path, reveals=row.reveals)
        for name, value in call.headers.items():
            response.headers[name] = value
        response.raw_headers.extend(self._marks)
        return response

    def explain(self, error: Exception, path: str, row: Row | None = None) -> Response:
        """Return an error in v2's shape; what is none of ours is logged, and not told."""
        refusal = self.refusal(error, path, row)
        response = answer(refusal.body, refusal.status, path)
        response.headers.update(refusal.headers)
        if isinstance(error, ResourceLimitExceeded):
            response.headers["connection"] = "close"  # the rest of the body is not read
        response.raw_headers.extend(self._marks)
        return response

    def refusal(self, error: Exception, path: str, row: Row | None = None) -> Refusal:
        """Return any error as v2 tells of it."""
        if isinstance(error, Refusal):
            return error
        if isinstance(error, HTTPException):
            return unread(error)
        if not isinstance(error, CartritaError):
            log.error("bridge_failed", path=path, exc_info=error)
            error = InternalFailure("The request failed on our side.")
        return refusal_of(error, row)


def later(team: str) -> Refusal:
    """Return the answer of a row whose team is not there yet."""
    return Refusal(
        501,
        "Not implemented yet",
        f"This needs the {team} team, which is not there yet.",
        code="CONFIGURATION_ERROR",
        reason="LATER",
    )


async def done(call: Call, ready: Ready) -> Any:
    """Do what a row's verb says and return the body of the answer.

    Raises:
        Refusal: v2 would not do it.
        CartritaError: It cannot be done.
    """
    row, document = ready.row, call.document
    if row.later is not None:
        raise later(row.later)
    if ready.account and call.who:
        await call.know()
    for demand in row.refuse:
        if not demand.unless.holds(document):
            raise Refusal(demand.status, demand.error)
    if row.page:
        return _told(row.page, row, document)
    parameters = _taken(row, document)
    if row.task:
        document["result"] = await _ran(call, row, row.task, parameters)
    else:
        assert ready.service is not None
        document["result"] = await ready.service(call, parameters)
    return _told(row.gives, row, document) if row.gives else document["result"]


def _taken(row: Row, document: Document) -> dict[str, Any]:
    """Return the parameters, without those that did not come."""
    if row.takes is None:
        return {}
    try:
        found = row.takes(document)
    except Unfit as error:
        raise InvalidParameters(f"The request does not fit: {error}.") from None
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if value is not None}


async def _ran(call: Call, row: Row, task: str, parameters: dict[str, Any]) -> Any:
    """Run a row's task and return its result."""
    document = call.document
    session = document["session"] = _session(row, document)
    preferences = row.preferences(document) if row.preferences else None
    response = await call.run(
        task, parameters, session=session, timeout=row.timeout, preferences=preferences
    )
    return response["result"]


def _session(row: Row, document: Document) -> str | None:
    if row.session is None:
        return None
    found = row.session(document)
    if not isinstance(found, str | int):
        raise InvalidParameters("A conversation's id is a text or a number.")
    return str(found)


def _told(expression: Expression, row: Row, document: Document) -> Any:
    try:
        return expression(document)
    except Unfit as error:
        raise RuntimeError(f"{row.route} tells nothing: {error}") from None


def _seen(files: dict[str, Any]) -> dict[str, Any]:
    return {name: [upload.seen for upload in found] for name, found in files.items()}
