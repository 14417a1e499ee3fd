"""A website on a real socket, which counts who comes."""

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Visit:
    """One request that came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self):
        return urlsplit(self.target).path

    @property
    def query(self):
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def json(self):
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """One answer; pieces are sent one by one without a length, and may never end.

    One that `stays` does not hang up after its last piece.
    """

    body: str | bytes | dict | list = b""
    status: int = 200
    kind: str | None = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    pieces: Callable[[], object] | None = None
    stays: bool = False


def data(body, status=200, **headers):
    """Return JSON."""
    return Reply(body, status, "application/json", headers)


def moved(where, status=302):
    """Return a redirect."""
    return Reply(status=status, headers={"location": where})


HANG = object()
"""Says nothing until the client leaves."""


class Site:
    """What a test puts on it and looks at.

    Attributes:
        pages: Path to reply, to a function of the visit that returns one, or to `HANG`.
        connections: How often somebody connected.
        visits: What they asked for, in order.
        names: The server names that TLS clients asked for.
    """

    def __init__(self, host, pages):
        self.host, self.pages = host, dict(pages)
        self.connections, self.visits, self.names = 0, [], []
        self.port = 0
        self._writers, self._handlers = set(), set()

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    def asked(self, path):
        return [visit for visit in self.visits if visit.path == path]

    async def serve(self, reader, writer):
        self.connections += 1
        self._writers.add(writer)
        self._handlers.add(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._one(reader, writer)
        writer.close()

    async def _one(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        visit = Visit(method, target, headers, body)
        self.visits.append(visit)
        page = self.pages.get(visit.path, Reply("nothing here", 404))
        if page is HANG:
            await reader.read(1)
            return
        reply = page(visit) if callable(page) else page
        await self._answer(reply, writer)
        if reply.stays:
            await reader.read(1)

    async def _answer(self, reply, writer):
        body = reply.body
        if isinstance(body, dict | list):
            body = json.dumps(body)
        body = body.encode() if isinstance(body, str) else body
        lines = [f"HTTP/1.1 {reply.status} x", "connection: close"]
        lines += [f"content-type: {reply.kind}"] if reply.kind else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in reply.headers.items()]
        if reply.pieces is None:
            lines.append(f"content-length: {len(body)}")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        await writer.drain()
        for piece in reply.pieces() if reply.pieces else ():
            writer.write(piece)
            await writer.drain()

    async def end(self):
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._handlers)


@asynccontextmanager
async def site(pages=None, *, host="127.0.0.1", tls=None):
    """Run a website for the length of a block."""
    made = Site(host, pages or {})
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: made.names.append(name)
    server = await asyncio.start_server(made.serve, host, 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.end()
        await server.wait_closed()
