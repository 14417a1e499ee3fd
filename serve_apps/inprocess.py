"""Carries httpx's requests to an application in the same process, answers as they come."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import httpx
from starlette.types import ASGIApp, Message

from cartrita.errors import InternalFailure

T = TypeVar("T")

START = 30.0
"""Seconds an application may take to start, or to end."""

AHEAD = 16
"""Parts of an answer that may wait for their reader."""

Opener = Callable[[], Awaitable[ASGIApp]]
Closer = Callable[[], Awaitable[None]]


class AsyncInProcess(httpx.AsyncBaseTransport):
    """For programs with an event loop, and of one.

    Args:
        opener: Opens the application, at the first request.
        closer: Closes it.
    """

    def __init__(self, opener: Opener, closer: Closer) -> None:
        self._opener, self._closer = opener, closer
        self._app: ASGIApp | None = None
        self._opening = asyncio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one."""
        async with self._opening:
            if self._app is None:
                self._app = await self._opener()
        seconds = request.extensions.get("timeout", {}).get("read")
        return await _Exchange(self._app, request, seconds).begin()

    async def aclose(self) -> None:
        """Close the application."""
        async with self._opening:
            if self._app is not None:
                self._app = None
                await self._closer()


class _Exchange(httpx.AsyncByteStream):
    """One request and its answer."""

    def __init__(self, app: ASGIApp, request: httpx.Request, seconds: float | None) -> None:
        self._app, self._request, self._seconds = app, request, seconds
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self._body = aiter(request.stream)
        self._answer: asyncio.Queue[Message] = asyncio.Queue(AHEAD)
        self._sent, self._left = False, asyncio.Event()

    async def begin(self) -> httpx.Response:
        """Have the application answer, and return the head of it."""
        answering = self._app(self._scope(), self._receive, self._say)
        self._working = asyncio.ensure_future(answering)
        try:
            head = await self._next()
            assert head["type"] == "http.response.start"
        except BaseException:
            await self.aclose()
            raise
        return httpx.Response(head["status"], headers=head["headers"], stream=self)

    def _scope(self) -> dict[str, Any]:
        url = self._request.url
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self._request.method,
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "server": (url.host, url.port),
            "client": ("127.0.0.1", 0),
            "root_path": "",
        }

    async def _receive(self) -> Message:
        if self._sent:
            await self._left.wait()
            return {"type": "http.disconnect"}
        part = await anext(self._body, None)
        self._sent = part is None
        return {"type": "http.request", "body": part or b"", "more_body": not self._sent}

    async def _say(self, message: Message) -> None:
        if self._left.is_set():
            raise OSError("nobody listens any more")
        await self._answer.put(message)

    async def _next(self) -> Message:
        """Return what the application says next.

        Raises:
            httpx.ReadTimeout: It is silent for too long.
            httpx.RemoteProtocolError: It ended before its answer.
        """
        asking = asyncio.ensure_future(self._answer.get())
        try:
            await asyncio.wait(
                (asking, self._working),
                timeout=self._seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if asking.done():
                return asking.result()
            if not self._answer.empty():
                return self._answer.get_nowait()
        finally:
            asking.cancel()
        if not self._working.done():
            raise httpx.ReadTimeout("silent for too long", request=self._request)
        self._working.result()
        raise httpx.RemoteProtocolError("ended before its answer", request=self._request)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._next()
            more = message.get("more_body", False)
            yield message.get("body", b"")

    async def aclose(self) -> None:
        """Let the application know that nobody listens any more, and wait for its end."""
        self._left.set()
        self._working.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await self._working


class InProcess(httpx.BaseTransport):
    """For programs without an event loop: it has one, in a thread of its own."""

    def __init__(self, make: Callable[[], AsyncInProcess]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cartrita", daemon=True)
        self._thread.start()
        self._inner = self._do(_made(make))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one."""
        assert isinstance(request.stream, httpx.SyncByteStream)
        asked = httpx.Request(
            request.method,
            request.url,
            headers=request.headers,
            stream=_Upward(iter(request.stream)),
            extensions=request.extensions,
        )
        answer = self._do(self._inner.handle_async_request(asked))
        assert isinstance(answer.stream, _Exchange)
        body = _Downward(answer.stream, self._do)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=body)

    def close(self) -> None:
        """Close the application and the loop."""
        if not self._loop.is_closed():
            self._do(self._inner.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


async def _made(make: Callable[[], AsyncInProcess]) -> AsyncInProcess:
    return make()


class _Upward(httpx.AsyncByteStream):
    """A request's body, whose source may block."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await asyncio.to_thread(next, self._parts, None)) is not None:
            yield part


class _Downward(httpx.SyncByteStream):
    """An answer's body, for a program that blocks while it waits."""

    def __init__(self, source: _Exchange, do: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._source, self._do = source, do

    def __iter__(self) -> Iterator[bytes]:
        parts = aiter(self._source)
        while (part := self._do(_after(parts))) is not None:
            yield part

    def close(self) -> None:
        self._do(self._source.aclose())


async def _after(parts: AsyncIterator[bytes]) -> bytes | None:
    return await anext(parts, None)


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[None]:
    """Run an application's lifespan, as a server does.

    Raises:
        InternalFailure: It did not start.
    """
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    living = asyncio.ensure_future(app(scope, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    try:
        told = await asyncio.wait_for(outbox.get(), START)
        if told["type"] != "lifespan.startup.complete":
            raise InternalFailure(f"The gateway did not start: {told.get('message')}")
        yield
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        await asyncio.wait((living,), timeout=START)
        living.cancel()
