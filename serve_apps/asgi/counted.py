"""Counts requests and how long they take, by route, method and status."""

import asyncio
from collections.abc import Iterable
from http import HTTPMethod
from typing import Any

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cartrita.telemetry.metrics import (
    HTTP_SECONDS,
    TRANSPORT_BYTES,
    TRANSPORT_CONNECTIONS,
    labelled,
)

HTTP = "http"
OTHER = "other"

PREFIXES = ("/api/", "/socket.io/")
"""Parts of the paths that have no routes of ours: each is counted as one."""

_METHODS = frozenset(method.value for method in HTTPMethod)


class Counted:
    """Counts what an application answers.

    Args:
        app: What answers; it leaves `endpoint` in the scope, as a Starlette router does.
        routes: Whose paths are the labels: a path itself may hold anything.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._paths: dict[Any, str] = {
            route.endpoint: route.path for route in routes if isinstance(route, Route)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on and count."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, sent, received = 0, 0, 0

        async def take() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def give(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            sent += len(message.get("body", b""))
            await send(message)

        now = asyncio.get_running_loop().time
        began, under_way = now(), labelled(TRANSPORT_CONNECTIONS, HTTP)
        under_way.inc()
        try:
            await self._app(scope, take, give)
        finally:
            under_way.dec()
            method = scope["method"] if scope["method"] in _METHODS else OTHER
            took = labelled(HTTP_SECONDS, self._route(scope), method, str(status))
            took.observe(now() - began)
            if received:
                labelled(TRANSPORT_BYTES, HTTP, "in").inc(received)
            labelled(TRANSPORT_BYTES, HTTP, "out").inc(sent)

    def _route(self, scope: Scope) -> str:
        path = self._paths.get(scope.get("endpoint"))
        if path is None:
            asked = scope["path"].lower()
            path = next((f"{part}*" for part in PREFIXES if asked.startswith(part)), OTHER)
        return path
