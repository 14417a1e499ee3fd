"""Generates HTTP load: so many connections, one request at a time on each.

Run as a program of its own, so that its CPU time is not the measured program's:
    python benchmarks/load.py URL CLIENTS SECONDS [TOKEN [BODY]]

`@@@@@@@@` in the body becomes a number that no two requests share.
"""

import asyncio
import json
import re
import sys
import time
from itertools import count
from urllib.parse import urlsplit

import uvloop

NUMBER = b"@" * 8
_NUMBERS = count(time.time_ns() % 10_000_000)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Line(asyncio.Protocol):
    """A connection that carries one request at a time, the same again and again."""

    def __init__(self, request: bytes) -> None:
        self.errors = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request, self._buffer = request, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        self.transport = transport

    def send(self) -> None:
        """Send the request."""
        request = self._request
        if NUMBER in request:
            request = request.replace(NUMBER, b"%08d" % (next(_NUMBERS) % 10**8))
        self.transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Count an answer once it is complete."""
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if blank else None
        if length is None or len(body) < int(length[1]):
            return
        self._buffer = b""
        self.errors += not head.startswith(b"HTTP/1.1 2")
        self.answered()

    def answered(self) -> None:
        """Go on after an answer."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop."""
        self.errors += exc is not None
        if not self.done.done():
            self.done.set_result(None)


class Connection(Line):
    """Sends the next request as soon as the one before is answered."""

    def __init__(self, request: bytes, until: float) -> None:
        super().__init__(request)
        self.latencies: list[float] = []
        self._until, self._sent = until, 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        super().connection_made(transport)
        self.send()

    def send(self) -> None:
        """Send the request, and note when."""
        self._sent = time.perf_counter()
        super().send()

    def answered(self) -> None:
        """Send the next one, or end."""
        now = time.perf_counter()
        self.latencies.append(now - self._sent)
        if now < self._until:
            self.send()
        else:
            self.transport.close()


def request_bytes(url: str, token: str, body: str) -> bytes:
    """Return a POST (or, without a body, GET) request."""
    parts = urlsplit(url)
    lines = [
        f"{'POST' if body else 'GET'} {parts.path or '/'} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body.encode())}",
    ]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


async def load(url: str, clients: int, seconds: float, token: str = "", body: str = "") -> dict:
    """Return what a load of `seconds` seconds measured; latencies in milliseconds."""
    parts = urlsplit(url)
    request = request_bytes(url, token, body)
    began = time.perf_counter()
    connections = []
    for _ in range(clients):
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(request, began + seconds), parts.hostname, parts.port
        )
        connections.append(connection)
    await asyncio.gather(*(connection.done for connection in connections))
    taken = time.perf_counter() - began
    latencies = [x for connection in connections for x in connection.latencies]
    errors = sum(connection.errors for connection in connections)
    return told(latencies, errors, taken)


def told(latencies: list[float], errors: int, taken: float) -> dict:
    """Return what was measured; seconds become milliseconds."""
    ordered = sorted(latencies)
    return {
        "requests": len(ordered),
        "errors": errors,
        "rps": round(len(ordered) / taken, 1),
        **{f"p{share}_ms": percentile(ordered, share) for share in (50, 95, 99)},
    }


def percentile(ordered: list[float], share: int) -> float:
    """Return a percentile of sorted seconds, in milliseconds; 0 of none."""
    if not ordered:
        return 0.0
    return round(ordered[min(len(ordered) * share // 100, len(ordered) - 1)] * 1000, 3)


if __name__ == "__main__":
    where, how_many, how_long, *rest = sys.argv[1:]
    print(json.dumps(uvloop.run(load(where, int(how_many), float(how_long), *rest))))
