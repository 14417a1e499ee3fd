"""A task's events over HTTP, as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from pydantic_core import to_json
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from serve_apps.asgi.guard import exchange_of
from serve_apps.asgi.messages import header_text
from serve_apps.gateway.drain import Drain
from serve_apps.gateway.gate import gate_of, principal_of
from serve_apps.gateway.query import cursor_of, is_cursor, task_id_of

KEEP_ALIVE = 15.0
"""Seconds of silence after which a comment shows that the stream is alive."""

PROMPT = 1.0
"""Seconds a refusal may take to become a problem; then the stream begins, and it cuts that off."""

RETRY_MS = 1000
"""Milliseconds after which browsers come back for more."""

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the latter for proxies


async def events(request: Request) -> Response:
    """GET /v3/tasks/{id}/events: what the task says, to its end; 204 when there is no more.

    A browser's `EventSource` comes back after the end, too, and 204 is what stops it.
    """
    who = await principal_of(request)
    task_id, after = task_id_of(request), _after(request)
    await exchange_of(request).body()  # so that what is received next is that the client left
    told = Told(gate_of(request).tasks.events(task_id, who, after))
    try:
        over = await told.nothing_within(PROMPT)
    except BaseException:
        await told.close()
        raise
    if over or request.method == "HEAD":
        await told.close()
        return Response(status_code=204 if over else 200, headers=_HEADERS)
    return EventStream(told)


def _after(request: Request) -> str | None:
    """Return the cursor of the last event that the client knows; of two, the browser's own."""
    cursor = header_text(request, "Last-Event-ID", is_cursor)
    return cursor_of(request, "after") if cursor is None else cursor


class Told:
    """Events on their way, of which the next one is always asked for already.

    Attributes:
        greeting: What a stream of them begins with.
    """

    greeting = b"retry: %d\n\n" % RETRY_MS

    def __init__(self, events: AsyncIterator[dict[str, Any]]) -> None:
        self._events = events
        self._next = self._ask()

    def _ask(self) -> asyncio.Task[dict[str, Any] | None]:
        return asyncio.create_task(self._following())

    async def _following(self) -> dict[str, Any] | None:
        return await anext(self._events, None)

    async def nothing_within(self, seconds: float) -> bool:
        """Tell whether it turns out within a time that there is nothing (any more)."""
        await asyncio.wait((self._next,), timeout=seconds)
        return self._next.done() and self._next.result() is None

    async def frames(self, ending: asyncio.Event) -> AsyncIterator[bytes]:
        """Yield the events as they are written, and comments while there is none.

        Args:
            ending: Set when the stream is to end although the events go on.
        """
        if self.greeting:
            yield self.greeting
        over = asyncio.create_task(ending.wait())
        try:
            while True:
                first = asyncio.FIRST_COMPLETED
                await asyncio.wait((self._next, over), timeout=KEEP_ALIVE, return_when=first)
                if self._next.done():
                    event = self._next.result()
                    if event is None:
                        return
                    if text := self.write(event):
                        yield text
                    self._next = self._ask()
                elif over.done():
                    return
                else:
                    yield b":\n\n"
        finally:
            over.cancel()

    def write(self, event: dict[str, Any]) -> bytes:
        """Return an event as it is written; nothing leaves it out."""
        return frame(event)

    async def each(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the events."""
        while event := await self._next:
            yield event
            self._next = self._ask()

    async def close(self) -> None:
        """Have the events' source end its work."""
        self._next.cancel()
        await asyncio.wait((self._next,))
        if not self._next.cancelled():
            self._next.exception()  # nobody is left to be told
        if close := getattr(self._events, "aclose", None):
            await close()


def frame(event: dict[str, Any]) -> bytes:
    """Return an event as it is written; JSON has no line breaks."""
    head = f"id: {event['cursor']}\nevent: {event['type']}\ndata: "
    return head.encode() + to_json(event, inf_nan_mode="null", bytes_mode="base64") + b"\n\n"


class EventStream(Response):
    """Writes events until they end, the client leaves, or this gateway does.

    In the last case the answer ends as it would at the task's end, so the client comes back for
    the rest, to another gateway.
    """

    media_type = "text/event-stream"

    def __init__(self, told: Told) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        drain: Drain = scope["app"].drain
        with drain.watched(scope.get("server")) as ending:
            writing = asyncio.create_task(self._write(send, ending))
            leaving = asyncio.create_task(_left(receive))
            try:
                await asyncio.wait((writing, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                writing.cancel()
                leaving.cancel()
                wrote, _ = await asyncio.gather(writing, leaving, return_exceptions=True)
                await self._told.close()
        if isinstance(wrote, Exception):
            # The answer stays incomplete, so the client comes back for the rest.
            raise ClientDisconnect if isinstance(wrote, OSError) else wrote

    async def _write(self, send: Send, ending: asyncio.Event) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async for part in self._told.frames(ending):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


ROUTES = [Route("/v3/tasks/{task_id}/events", events, methods=["GET"])]
