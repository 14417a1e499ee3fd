"""Has v2 answer a call: part by part, both ways, until one of the two leaves."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote, unquote_to_bytes

import httpx
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from cartrita.errors import NetworkFailed
from serve_apps.asgi.guard import Exchange
from serve_apps.bridge.canary.hops import back, onward
from serve_apps.bridge.canary.upstream import Asked, Upstream

_UNWRITTEN = "/:@!$&'()*+,;=~-._"
"""What stands in a path as it is."""


async def relay(
    upstream: Upstream, scope: Scope, receive: Receive, send: Send, *, ours: bool = False
) -> None:
    """Have v2 answer a call.

    Args:
        upstream: The v2.
        scope: The call's, with the guard's exchange in it.
        receive: Gives its body.
        send: Takes the answer.
        ours: Whether the call's credentials are none of v2's.

    Raises:
        ServiceUnavailable: v2 has not seen it.
        NetworkFailed: v2 broke off, before its answer or in it.
        ClientDisconnect: The client left; v2 is not asked any further.
    """
    exchange: Exchange = scope["exchange"]
    body = _Body(receive) if exchange.has_body else None
    asked = asked_of(scope, body.parts() if body else None, ours=ours)
    answering = asyncio.create_task(_answer(upstream, asked, send))
    leaving = asyncio.create_task(_left(receive, body))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientDisconnect
        answering.result()
    finally:
        for task in (answering, leaving):
            task.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)


def asked_of(
    scope: Scope, body: bytes | AsyncIterator[bytes] | None, *, ours: bool = False
) -> Asked:
    """Return a call as v2 is asked for it."""
    peer = scope.get("client") or ("unknown",)
    headers = onward(scope["headers"], str(peer[0]), scope.get("scheme", "http"), ours=ours)
    return Asked(scope["method"], _target(scope), headers, body)


def _target(scope: Scope) -> bytes:
    """Return path and query, in the client's own spelling where that says what we looked at."""
    path: str = scope["path"]
    target: bytes = (scope.get("raw_path") or b"").partition(b"?")[0]
    if unquote_to_bytes(target) != path.encode("utf-8", "surrogatepass"):
        target = quote(path, safe=_UNWRITTEN).encode()
    query: bytes = scope.get("query_string", b"")
    return target + b"?" + query if query else target


class _Body:
    """A request's body on its way to v2."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.passed = asyncio.Event()

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield its parts."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            if part := message.get("body", b""):
                yield part
            more = message.get("more_body", False)
        self.passed.set()


async def _left(receive: Receive, body: _Body | None) -> None:
    """Return when the client has left; its body comes first."""
    if body:
        await body.passed.wait()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(upstream: Upstream, asked: Asked, send: Send) -> None:
    response = await upstream.ask(asked)
    try:
        headers = back(response.headers.raw)
        start = {"type": "http.response.start", "status": response.status_code, "headers": headers}
        await send(start)
        async for part in response.aiter_raw():
            await send({"type": "http.response.body", "body": part, "more_body": True})
    except httpx.HTTPError as error:
        raise NetworkFailed(f"v2 broke off ({type(error).__name__}).") from error
    finally:
        await response.aclose()
    await send({"type": "http.response.body", "body": b"", "more_body": False})
