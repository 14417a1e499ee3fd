"""The loop: finds a call's row, does what its verb says, gives the answer its shape."""

from collections.abc import Callable, Sequence
from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cartrita.errors import ResourceLimitExceeded
from cartrita.protocol.task import Budget
from serve_apps.asgi.guard import Exchange, from_v2
from serve_apps.bridge.answers import Terms, answer, nowhere
from serve_apps.bridge.bodies import check_kind, query_of, read_body
from serve_apps.bridge.calls import Call, document_of
from serve_apps.bridge.people import asking
from serve_apps.bridge.sockets import Events
from serve_apps.bridge.streaming import streamed
from serve_apps.bridge.table import MEGABYTE, METHODS, Ready, Row, Table, load
from serve_apps.bridge.verbs import done, later, refusal_from
from serve_apps.gateway.gate import Desk, Gate

_BELOW = ("/api", "/api/")
_LONGEST = len(_BELOW[-1])
OWN = ("/", "/health")
"""Paths outside of `/api` that are v2's, on its own port."""

READABLE = ("Deprecation", "Link", "Retry-After", "Sunset", "X-API-Version", "X-Task-ID")
"""Answers' headers that pages of other origins may read."""

_VARY = (b"vary", b"Origin")
"""What pages of other origins would be told is not what everybody is."""

_SANDBOXED = "default-src 'none'; sandbox; frame-ancestors 'none'"


class Bridge:
    """v2 on both ports: what is under `/api`, and on v2's own what v3 has not.

    Args:
        terms: What answers say of v2's end.
        table: The rows; by default all there are.
        guest_budget: The ceiling of a guest's task.
        origins: Of pages that may call at v2's own port, where the gateway as a whole lets none.
    """

    def __init__(
        self,
        terms: Terms | None = None,
        table: Table | None = None,
        guest_budget: Budget | None = None,
        origins: Sequence[str] = (),
    ) -> None:
        self.table = table or load()
        self.terms = terms or Terms()
        self.guest_budget = guest_budget
        self.largest: int = self.table.largest
        self._marks = self.terms.headers
        self._for_pages = CORSMiddleware(
            self._answer,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=["*"],
            allow_credentials=True,
            expose_headers=READABLE,
        )

    def sockets(self, gate: Callable[[], Gate], desk: Callable[[], Desk]) -> Events:
        """Return what hears v2's events."""
        return Events(self.table.events, gate, desk)

    def owns(self, scope: Scope) -> bool:
        """Tell whether a request is the bridge's to answer."""
        path: str = scope["path"]
        return path[:_LONGEST].lower() in _BELOW or (path in OWN and from_v2(scope))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        exchange: Exchange = scope["exchange"]
        at_own_port = from_v2(scope)
        if at_own_port and b"origin" in exchange.headers:
            await self._for_pages(scope, receive, send)
            return
        response = await self._response(scope, receive)
        if at_own_port:
            response.raw_headers.append(_VARY)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._response(scope, receive))(scope, receive, send)

    async def _response(self, scope: Scope, receive: Receive) -> Response:
        row = None
        try:
            ready, places = self._found(scope)
            row = ready.row
            return await self._answered(Request(scope, receive), ready, places)
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 - told in v2's shape, and logged there
            return self.explain(error, scope["path"], row)

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
        who, claims = await asking(request, gate, row.auth, counted=row.counts)
        if row.later is not None:  # before a body is read that nobody needs
            raise later(row.later)
        body, files = await read_body(request, row)
        path = request.scope["path"]
        document = document_of(gate, who, request.method, path, timed=ready.timed)
        document["call"]["id"] = exchange.request_id.decode()
        document["body"], document["query"], document["path"] = body, query_of(request), places
        document["headers"], document["files"] = request.headers, _seen(files)
        call = Call(
            gate=gate,
            desk=request.app.desk,
            document=document,
            who=who,
            claims=claims,
            files=files,
            table=self.table,
            traceparent=exchange.traceparent,
            guest_budget=self.guest_budget,
        )
        try:
            body = await done(call, ready)
            if row.streams:
                return self._marked(call, await streamed(call, row, body))
            return self._shaped(call, row, body)
        except Exception as error:  # noqa: BLE001 - as above; here it is known which task it was
            response = self.explain(error, path, row)
            response.headers.update(call.headers)
            return response

    def _shaped(self, call: Call, row: Row, body: Any) -> Response:
        status = call.status or row.status
        if row.binary:
            response = Response(body, status, media_type=call.media_type)
            response.headers["Content-Security-Policy"] = _SANDBOXED
        else:
            path = call.document["call"]["path"]
            response = answer(body, status, path, reveals=row.reveals)
        return self._marked(call, response)

    def _marked(self, call: Call, response: Response) -> Response:
        told = [(name.lower().encode(), value.encode()) for name, value in call.headers.items()]
        response.raw_headers += [*told, *self._marks]
        return response

    def explain(self, error: Exception, path: str, row: Row | None = None) -> Response:
        """Return an error in v2's shape; what is none of ours is logged, and not told."""
        refusal = refusal_from(error, path, row)
        response = answer(refusal.body, refusal.status, path)
        response.headers.update(refusal.headers)
        if isinstance(error, ResourceLimitExceeded):
            response.headers["connection"] = "close"  # the rest of the body is not read
        response.raw_headers.extend(self._marks)
        return response


def _seen(files: dict[str, Any]) -> dict[str, Any]:
    return {name: [upload.seen for upload in found] for name, found in files.items()}
