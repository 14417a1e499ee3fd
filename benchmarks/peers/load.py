"""The same load for every peer: so many connections, one request at a time, answers looked into.

python -m benchmarks.peers.load URL CLIENTS SECONDS TOKEN BODY [BATCH]

Each task carries a number that no other has; an answer without it is an error, whatever its
status. With BATCH, a request hands in so many tasks, and the next is sent when the last of them
has ended, which is waited for: latencies are those of whole batches, rates those of tasks.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import uvloop

from benchmarks.load import NUMBER, request_bytes
from benchmarks.peers.figures import percentiles

PATIENCE = 30.0
"""Seconds for which an answer is waited for after the end; whatever is open then is an error."""

GRACE = 30.0
"""Seconds in which the list of tasks, which follows the journal, must show all of them as ended."""

_NUMBERS = count(time.time_ns() % 10_000_000)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"transfer-encoding: *chunked", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"

Answer = tuple[bool, bytes]
"""Whether the status is a success, and the body."""

Turn = Generator[bytes, Answer, int]
"""Sends requests, is given their answers, and returns how many tasks were answered rightly."""


def single(request: bytes) -> Turn:
    """One task, with its result in the answer."""
    number = _number()
    good, body = yield request.replace(NUMBER, number)
    return int(good and number in body)


def batch(url: str, token: str, body: str, size: int) -> Turn:
    """So many tasks in a request, and then the end of the last."""
    numbers = [_number() for _ in range(size)]
    tasks = ",".join(body.replace(NUMBER.decode(), number.decode()) for number in numbers)
    good, answer = yield request_bytes(url, token, f'{{"tasks":[{tasks}]}}')
    verdicts = json.loads(answer)["results"] if good else []
    taken = [verdict["taskId"] for verdict in verdicts if verdict["accepted"]]
    if not taken:
        return 0
    parts = urlsplit(url)
    look = f"GET {parts.path.rpartition('/')[0]}/{taken[-1]}?wait=30 HTTP/1.1\r\n"
    head = f"Host: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
    good, answer = yield (look + head).encode()
    return len(taken) if good and (len(taken) < size or numbers[-1] in answer) else 0


def _number() -> bytes:
    return b"%08d" % (next(_NUMBERS) % 10**8)


def answer_of(buffer: bytes) -> Answer | None:
    """Return an answer that is complete."""
    head, blank, body = buffer.partition(b"\r\n\r\n")
    if not blank:
        return None
    length = _LENGTH.search(head)
    if length:
        complete = len(body) >= int(length[1])
    else:
        complete = bool(_CHUNKED.search(head)) and body.endswith(_LAST_CHUNK)
    return (head.startswith(b"HTTP/1.1 2"), body) if complete else None


class Caller(asyncio.Protocol):
    """Takes one turn after the other on a connection.

    Args:
        begin: Begins a turn.
        size: Tasks of a turn.
        until: When no further turn begins, by `time.perf_counter`.
    """

    def __init__(self, begin: Callable[[], Turn], size: int, until: float) -> None:
        self.latencies: list[float] = []
        self.errors = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._begin, self._size, self._until = begin, size, until
        self._buffer, self._began = b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the first turn."""
        self._transport = transport
        self._next()

    def _next(self) -> None:
        self._turn, self._began = self._begin(), time.perf_counter()
        self._transport.write(next(self._turn))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Give the turn an answer that is complete."""
        self._buffer += data
        answer = answer_of(self._buffer)
        if answer is None:
            return
        self._buffer = b""
        try:
            self._transport.write(self._turn.send(answer))  # type: ignore[attr-defined]
        except StopIteration as ended:
            self._count(ended.value)

    def _count(self, right: int) -> None:
        now = time.perf_counter()
        self.latencies.append(now - self._began)
        self.errors += self._size - right
        if now < self._until:
            self._next()
            return
        self._end()
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count what was under way as not done."""
        if not self.done.done():
            self.errors += self._size
            self._end()

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


def open_or_failed(url: str, token: str, since: datetime) -> int:
    """Return how many tasks since then have not completed, at most 200, after a moment's grace."""
    others = "PENDING,RUNNING,FAILED,CANCELLED,TIMEOUT"
    query = urlencode({"status": others, "since": since.isoformat(), "limit": 200})
    address = f"{url.rpartition('/')[0]}?{query}"
    request = Request(address, headers={"Authorization": f"Bearer {token}"})
    until = time.monotonic() + GRACE
    while True:
        with urlopen(request, timeout=30) as answer:
            found = len(json.loads(answer.read())["tasks"])
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.1)


async def load(
    url: str, clients: int, seconds: float, token: str, body: str, size: int = 0
) -> dict[str, Any]:
    """Return what a load of `seconds` seconds measured."""
    parts = urlsplit(url)
    request = request_bytes(url, token, body)

    def begin() -> Turn:
        return batch(url, token, body, size) if size else single(request)

    began, since = time.perf_counter(), datetime.now(UTC)
    callers = []
    for _ in range(clients):
        _, caller = await asyncio.get_running_loop().create_connection(
            lambda: Caller(begin, size or 1, began + seconds), parts.hostname, parts.port
        )
        callers.append(caller)
    _, late = await asyncio.wait([c.done for c in callers], timeout=seconds + PATIENCE)
    taken = time.perf_counter() - began
    latencies = [x for caller in callers for x in caller.latencies]
    done = len(latencies) * (size or 1)
    errors = sum(caller.errors for caller in callers) + len(late) * (size or 1)
    errors += open_or_failed(url, token, since) if size else 0
    return {
        "requests": done,
        "errors": errors,
        "rps": round(max(done - errors, 0) / taken, 1),
        **percentiles(latencies),
    }


if __name__ == "__main__":
    where, how_many, how_long, who, what, *rest = sys.argv[1:]
    job = load(where, int(how_many), float(how_long), who, what, *map(int, rest))
    print(json.dumps(uvloop.run(job)))
