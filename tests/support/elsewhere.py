"""An external agent on a real socket, which does what a test tells it."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asked:
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def task(self):
        return json.loads(self.body)


def answer(status=200, body=None, kind="application/json", **headers):
    """Return the bytes of an answer."""
    data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    lines = [f"HTTP/1.1 {status} x", f"content-type: {kind}", f"content-length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + data


def result(**fields):
    return answer(body={"result": fields})


@dataclass
class Elsewhere:
    """Answers every POST by `work`, a coroutine function that may take its time.

    Attributes:
        health: What its health answers; None hangs up.
        asked: Every POST.
        began: One entry for each POST that came.
        left: One entry for each whose caller hung up before the answer.
    """

    health: int | None = 200
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    checks: list[Asked] = field(default_factory=list)
    began: asyncio.Queue = field(default_factory=asyncio.Queue)
    left: asyncio.Queue = field(default_factory=asyncio.Queue)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def work(self, asked):
        """Return the answer of one call: bytes, or an iterator of bytes without a length."""
        return result(heard=asked.task["parameters"])

    async def _serve(self, reader, writer):
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await self._one(reader, writer)
        finally:
            writer.close()

    async def _one(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        asked = Asked(method, path, headers, body)
        if method == "GET":
            self.checks.append(asked)
            if self.health is None:
                raise ConnectionResetError
            writer.write(answer(self.health))
            return await writer.drain()
        self.asked.append(asked)
        self.began.put_nowait(asked)
        working = asyncio.create_task(self._answered(asked, writer))
        leaving = asyncio.create_task(reader.read(1))
        done, _ = await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if working not in done:
            working.cancel()
            self.left.put_nowait(asked)
            raise ConnectionResetError
        leaving.cancel()
        await asyncio.wait([leaving])  # one reader at a time
        return working.result()

    async def _answered(self, asked, writer):
        given = await self.work(asked)
        if isinstance(given, bytes):
            writer.write(given)
            await writer.drain()
            return
        kind, pieces = given
        writer.write(f"HTTP/1.1 200 x\r\ncontent-type: {kind}\r\n".encode())
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        async for piece in pieces:
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()


@asynccontextmanager
async def elsewhere(work=None):
    """Run an external agent for the length of a block."""
    agent = Elsewhere()
    if work is not None:
        agent.work = work
    handlers, writers = set(), set()

    async def handle(reader, writer):
        handlers.add(asyncio.current_task())
        writers.add(writer)
        await agent._serve(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    agent.port = server.sockets[0].getsockname()[1]
    try:
        yield agent
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.gather(*handlers)


def registration(agent=None, **changes):
    """Return what is posted to register it."""
    told = {
        "name": "weather",
        "endpoint": f"{agent.url}/tasks" if agent else "http://127.0.0.1:1/tasks",
        "summary": "Knows the weather.",
        "taskTypes": [task_type()],
    }
    return {**told, **changes}


def task_type(name="weather.forecast", **changes):
    parameters = {
        "type": "object",
        "properties": {"city": {"$ref": "#/$defs/city"}, "days": {"type": "integer"}},
        "required": ["city"],
        "additionalProperties": False,
        "$defs": {"city": {"type": "string", "minLength": 1}},
    }
    told = {
        "taskType": name,
        "summary": "Forecast the weather.",
        "parameters": parameters,
        "example": {"city": "Ghent"},
        "idempotent": True,
    }
    return {**told, **changes}
