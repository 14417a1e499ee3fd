"""A server on a real socket that speaks OpenAI's protocol from a script.

In an async test:

    async with serving(Call("calculator", {"expression": "1+1"}), Say("2.")) as server:
        ...  # server.base_url is its address; afterwards server.requests tells what came

In a test that is not, `served(...)` runs it in a thread. In place of a list of replies the
script may be one function of the request, which is asked each time: `serving(echo)`.
"""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

from tests.support.openai_replies import (
    Call,
    Cut,
    Fail,
    Hang,
    Say,
    Step,
    Wait,
    choice,
    completion,
    embeddings,
    error,
    event,
    frame,
    head,
    reply,
    sized,
    usage,
    words,
)

PATIENCE = 30.0
"""Seconds after which a test that waits for something here has failed."""


@dataclass(eq=False)
class Request:
    """One request that came.

    Attributes:
        at: When it had come whole, in monotonic seconds.
        answered_at: When the whole answer was written.
        left_at: When the client closed the socket before it had its whole answer.
        left: Set then.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float
    answered_at: float | None = None
    left_at: float | None = None
    left: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def said(self) -> str:
        """The text of the last message."""
        content = self.body["messages"][-1]["content"]
        return content if isinstance(content, str) else json.dumps(content)


Script = Callable[[Request], Step]


def echo(request: Request) -> Step:
    """Answer with what was said last, a token a word."""
    count = len(request.said.split())
    return Say(request.said, (sum(len(str(m)) for m in request.body["messages"]) // 4, count))


class OpenAiServer:
    """What a test scripts and looks at.

    Chat completions are answered by the script, embeddings and models by themselves. A reply
    that nobody scripted is an error 500, and `serving` fails for it in the end.

    Attributes:
        steps: What is answered next; empty where one function answers.
        seen: Every request that came, in order.
        requests: Bodies of the chat completions that came, in order.
        keys: `Authorization` headers of those, in order.
        asked: Set when one has come.
        left: Set when a client closed its socket before it had its answer.
        before_embedding: What the next requests for embeddings meet instead.
        models: What `/v1/models` lists.
    """

    def __init__(self, *script: Step | Script) -> None:
        self._answers = script[0] if script and callable(script[0]) else None
        self.steps = [] if self._answers else list(script)
        self.surplus: list[Request] = []
        self.seen: list[Request] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.asked, self.left = asyncio.Event(), asyncio.Event()
        self.before_embedding: list[Fail | Hang | Cut] = []
        self.models = ["gpt-4o", "gpt-4o-mini"]
        self.base_url = ""
        self._writers: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Condition()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.base_url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        for handler in self._handlers:
            handler.cancel()
        ends = await asyncio.gather(*self._handlers, return_exceptions=True)
        await self._server.wait_closed()
        for end in ends:
            if isinstance(end, Exception):  # the script's own
                raise end

    async def came(self, count: int) -> Request:
        """Wait until so many requests have come, and return the last of those."""
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: len(self.seen) >= count)
        return self.seen[count - 1]

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        loop = asyncio.get_running_loop()
        reader = _Reader(limit=1 << 24, loop=loop)
        return asyncio.StreamReaderProtocol(reader, self._serve, loop=loop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(reader, _Reader)
        task = asyncio.current_task()
        assert task
        self._writers.add(writer)
        self._handlers.add(task)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                request = await self._read(reader)
                reader.hook = lambda request=request: self._leave(request)
                await self._answer(request, writer)
                request.answered_at, reader.hook = time.monotonic(), None
        reader.hook = None
        self._writers.discard(writer)
        self._handlers.discard(task)
        writer.close()

    def _leave(self, request: Request) -> None:
        request.left_at = time.monotonic()
        request.left.set()
        self.left.set()

    async def _read(self, reader: asyncio.StreamReader) -> Request:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(method, path, headers, json.loads(body or b"{}"), time.monotonic())
        self.seen.append(request)
        if path == "/v1/chat/completions":
            self.requests.append(request.body)
            self.keys.append(headers.get("authorization", ""))
        self.asked.set()
        async with self._arrived:
            self._arrived.notify_all()
        return request

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        match request.method, request.path:
            case "POST", "/v1/chat/completions":
                await self._act(self._next(request), request, writer)
            case "POST", "/v1/embeddings":
                if self.before_embedding:
                    await self._act(self.before_embedding.pop(0), request, writer)
                else:
                    reply(writer, 200, embeddings(request.body))
            case "GET", "/v1/models":
                listed = [{"id": name, "object": "model", "created": 1} for name in self.models]
                reply(writer, 200, {"object": "list", "data": listed})
            case _:
                reply(writer, 404, error("No such path.", "not_found"))
        await writer.drain()

    def _next(self, request: Request) -> Step:
        if self._answers:
            return self._answers(request)
        if not self.steps:
            self.surplus.append(request)
            return Fail(500, "Nothing more is scripted.")
        return self.steps.pop(0)

    async def _act(self, step: Step, request: Request, writer: asyncio.StreamWriter) -> None:
        streams = bool(request.body.get("stream"))
        match step:
            case Wait():
                await _until(step.until, request)
                await self._act(step.then, request, writer)
            case Hang():
                await _begin(step.text, request, writer)
                await request.left.wait()
                raise ConnectionError
            case Cut():
                if not await _begin(step.text, request, writer):
                    writer.write(head(200, "application/json", 1000) + b'{"choices": [')
                await writer.drain()
                raise ConnectionError
            case Fail():
                reply(writer, step.status, error(step.message, step.code), step.headers)
            case Say() | Call() if streams:
                await _stream(step, request, writer)
            case Say() | Call():
                reply(writer, 200, completion(step, request.body))


class _Reader(asyncio.StreamReader):
    """Tells at once when the other side has closed."""

    hook: Callable[[], None] | None = None

    def feed_eof(self) -> None:
        super().feed_eof()
        self._tell()

    def set_exception(self, exc: BaseException) -> None:
        super().set_exception(exc)
        self._tell()

    def _tell(self) -> None:
        hook, self.hook = self.hook, None
        if hook:
            hook()


@asynccontextmanager
async def serving(*script: Step | Script) -> AsyncIterator[OpenAiServer]:
    """Run a server for the length of a block; the script must have been played exactly."""
    async with OpenAiServer(*script) as server:
        yield server
    assert not server.steps, f"never asked for: {server.steps}"
    assert not server.surplus, f"asked for more than was scripted: {server.surplus}"


@contextmanager
def served(*script: Step | Script) -> Iterator[OpenAiServer]:
    """Do the same in a thread, for tests that have no event loop.

    They look at `requests` and `seen`; what is to be awaited belongs to the thread's loop.
    """
    loop, server = asyncio.new_event_loop(), OpenAiServer(*script)
    thread = threading.Thread(target=loop.run_forever, name="openai-server", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(PATIENCE)
        yield server
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(PATIENCE)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()
    assert not server.steps, f"never asked for: {server.steps}"
    assert not server.surplus, f"asked for more than was scripted: {server.surplus}"


async def _until(until: float | asyncio.Event, request: Request) -> None:
    """Wait; a client that leaves in the meantime ends it."""
    waits = asyncio.sleep(until) if isinstance(until, float | int) else until.wait()
    tasks = [asyncio.ensure_future(waits), asyncio.ensure_future(request.left.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    if request.left.is_set():
        raise ConnectionError


async def _begin(text: str, request: Request, writer: asyncio.StreamWriter) -> bool:
    """Begin a stream with a text; tells whether there is one."""
    if not (text and request.body.get("stream")):
        return False
    base = frame("chat.completion.chunk", request.body)
    writer.write(head(200, "text/event-stream", None))
    for word in words(text):
        writer.write(event(base | choice({"content": word})))
    await writer.drain()
    return True


async def _stream(step: Say | Call, request: Request, writer: asyncio.StreamWriter) -> None:
    base = frame("chat.completion.chunk", request.body)
    writer.write(head(200, "text/event-stream", None))
    for delta in ({"role": "assistant", "content": ""}, *step.deltas()):
        writer.write(event(base | choice(delta)))
        await writer.drain()
        if step.pause:
            await _until(step.pause, request)
    writer.write(event(base | choice({}, step.finish)))
    if (request.body.get("stream_options") or {}).get("include_usage"):
        writer.write(event(base | {"choices": [], "usage": usage(step)}))
    writer.write(sized(b"data: [DONE]\n\n") + b"0\r\n\r\n")
