"""The gateway as one ASGI application."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_apps.asgi.guard import Guard
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
]
"""Answers' headers that pages of other origins may read."""


class Gateway:
    """The routes, and the gate that is open for as long as the application runs."""

    gate: Gate
    desk: Desk

    def __init__(self, opener: Opener, routes: list[BaseRoute], bounds: Bounds) -> None:
        self._opener = opener
        self.bounds, self.census, self.drain = bounds, Census(bounds), Drain()
        self._socket_io = SocketIo(lambda: self.gate, bounds, self.census)
        # A bare router: a Starlette would wrap it in two layers that answer for errors
        # before our guard can.
        self._router = Router(routes, redirect_slashes=False, lifespan=self._lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the application's own start and end."""
        scope["app"] = self
        path = scope.get("path", "")
        if path == PATH or path.startswith(f"{PATH}/"):
            await self._socket_io(scope, receive, send)
        else:
            await self._router(scope, receive, send)

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
    """
    routes = [*ROUTES, *docs.ROUTES] if show_docs else ROUTES
    app: ASGIApp = Guard(
        Gateway(opener, routes, bounds or Bounds()),
        max_body,
        body_timeout,
        {blobs.PATH: max(max_body, max_blob)},
    )
    if cors:  # outside of the guard: pages may read why they were refused
        app = CORSMiddleware(
            app,
            allow_origins=cors,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["*"],
            allow_credentials="*" not in cors,
            expose_headers=READABLE,
        )
    return app
