"""The gateway as one ASGI application."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_apps.asgi.counted import Counted
from serve_apps.asgi.exact import Exact
from serve_apps.asgi.guard import Guard, Older, from_v2
from serve_apps.asgi.visits import Visits
from serve_apps.gateway import (
    accounts,
    admin,
    agents,
    answers,
    approvals,
    batch,
    blobs,
    budgets,
    compact,
    docs,
    effects,
    events,
    keys,
    migration,
    quarantine,
    retries,
    stories,
    system,
    tasks,
)
from serve_apps.gateway.drain import Drain
from serve_apps.gateway.gate import Desk, Gate
from serve_apps.gateway.sockets import websocket
from serve_apps.gateway.sockets.bounds import Bounds, Census
from serve_apps.gateway.sockets.older import OlderSockets
from serve_apps.gateway.sockets.socket_io import PATH, SocketIo

Opener = Callable[[], AbstractAsyncContextManager[Gate]]

ROUTES: list[BaseRoute] = [
    *batch.ROUTES,  # before a task's own path, which its path fits, too
    *tasks.ROUTES,
    *events.ROUTES,
    *stories.ROUTES,
    *retries.ROUTES,
    *quarantine.ROUTES,
    *effects.ROUTES,
    *approvals.ROUTES,
    *budgets.ROUTES,
    *answers.ROUTES,
    *accounts.ROUTES,
    *keys.ROUTES,
    *system.ROUTES,
    *admin.ROUTES,
    *migration.ROUTES,
    *agents.ROUTES,
    *compact.ROUTES,
    *blobs.ROUTES,
    *websocket.ROUTES,
]

READABLE = [
    "ETag",
    "Content-Range",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "traceparent",
    "WWW-Authenticate",
    "X-Request-ID",
    "X-Task-ID",
]
"""Answers' headers that pages of other origins may read."""


class OlderApi(Older, Protocol):
    """An older API with sockets."""

    def sockets(self, gate: Callable[[], Gate], desk: Callable[[], Desk]) -> OlderSockets:
        """Return what hears its events, once the gate is open."""


class Gateway:
    """The routes, and the gate that is open for as long as the application runs."""

    gate: Gate
    desk: Desk

    def __init__(
        self,
        opener: Opener,
        routes: list[BaseRoute],
        bounds: Bounds,
        older: OlderApi | None = None,
    ) -> None:
        self._opener, self._older = opener, older
        self.bounds, self.census, self.drain = bounds, Census(bounds), Drain()
        heard = older.sockets(lambda: self.gate, lambda: self.desk) if older else None
        self._socket_io = SocketIo(lambda: self.gate, bounds, self.census, heard)
        # A bare router: a Starlette would wrap it in two layers that answer for errors
        # before our guard can.
        self._router = Router(
            routes, redirect_slashes=False, default=self._nowhere, lifespan=self._lifespan
        )
        self._exact = Exact(routes, self._router)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the application's own start and end."""
        scope["app"] = self
        path = scope.get("path", "")
        if path == PATH or path.startswith(f"{PATH}/"):
            await self._socket_io(scope, receive, send)
        elif self._older and scope["type"] == "http" and self._older.owns(scope):
            await self._older(scope, receive, send)
        else:
            await self._exact(scope, receive, send)

    async def _nowhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer where there is nothing: at the older API's own port as that does."""
        if self._older and scope["type"] == "http" and from_v2(scope):
            await self._older(scope, receive, send)
        else:
            await self._router.not_found(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _app: object) -> AsyncIterator[None]:
        async with self._opener() as self.gate:
            self.desk = Desk(self.gate)
            async with self._socket_io.open():
                yield


def gateway(  # noqa: PLR0913 - each is a setting of its own
    opener: Opener,
    *,
    max_body: int,
    max_blob: int = 0,
    body_timeout: float = 10.0,
    cors: tuple[str, ...] = (),
    show_docs: bool = True,
    bounds: Bounds | None = None,
    older: OlderApi | None = None,
    visits: Visits | None = None,
) -> ASGIApp:
    """Return the application.

    Args:
        opener: Opens what the routes need, for as long as the application runs.
        max_body: Bytes of the longest request body.
        max_blob: Bytes of the longest blob, if that is longer.
        body_timeout: Seconds a client may take to send its body.
        cors: Origins whose pages may call.
        show_docs: Whether `/docs`, `/redoc` and `/openapi.json` answer.
        bounds: The limits of sockets.
        older: An older API that is served beside ours.
        visits: Tells of requests as traces.
    """
    routes = [*ROUTES, *docs.ROUTES] if show_docs else ROUTES
    app: ASGIApp = Guard(
        Gateway(opener, routes, bounds or Bounds(), older),
        max_body,
        body_timeout,
        {blobs.PATH: max(max_body, max_blob)},
        older,
        visits,
    )
    app = Counted(app, routes)
    if cors:  # outside of the guard: pages may read why they were refused
        app = CORSMiddleware(
            app,
            allow_origins=cors,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            allow_credentials="*" not in cors,
            expose_headers=READABLE,
        )
    return app
