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

PREFIX = "/api"
OWN = ("/", "/health")
"""Paths outside of `/api` that are v2's, on its own port."""

READABLE = ("Deprecation", "Link", "Retry-After", "Sunset", "X-API-Version", "X-Task-ID")
"""Answers' headers that pages of other origins may read."""

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
        self._at_own_port = CORSMiddleware(
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
        if path.startswith(PREFIX):
            return path == PREFIX or path.startswith(f"{PREFIX}/")
        return path in OWN and from_v2(scope)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await (self._at_own_port if from_v2(scope) else self._answer)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
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
        who, claims = await asking(request, gate, row.auth, counted=row.counts)
        if row.later is not None:  # before a body is read that nobody needs
            raise later(row.later)
        body, files = await read_body(request, row)
        document = document_of(gate, who, request.method, request.scope["path"])
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
            response = self.explain(error, request.scope["path"], row)
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
        for name, value in call.headers.items():
            response.headers[name] = value
        response.raw_headers.extend(self._marks)
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
