"""HTTP requests that arrive at random (Poisson), whether or not earlier ones were answered.

A latency counts from the moment at which the request should have been sent, so that a system
that stands still for a second is late for all that came in it.
"""

import asyncio
import random
import time
from collections import deque
from contextlib import suppress
from urllib.parse import urlsplit

from benchmarks.load import Line, request_bytes, told

MOST = 512
"""Connections; who finds none free waits for one, and that counts."""

PATIENCE = 10.0
"""Seconds after the last arrival in which answers are waited for; what is missing then failed."""


class Crowd:
    """Requests that arrive, and the connections they find."""

    def __init__(self, url: str, token: str, body: str) -> None:
        parts = urlsplit(url)
        self._where = (parts.hostname, parts.port)
        self._request = request_bytes(url, token, body)
        self._free: deque[Carrier] = deque()
        self._late: deque[float] = deque()
        self._opened = 0
        self._opening: set[asyncio.Task[None]] = set()
        self.lines: list[Carrier] = []
        self.latencies: list[float] = []
        self._wanted, self._all = -1, asyncio.Event()

    def arrive(self, due: float) -> None:
        """Send a request that was due then, as soon as a connection is free."""
        if self._free:
            self._free.popleft().carry(due)
            return
        self._late.append(due)
        if self._opened < MOST:
            self._opened += 1
            task = asyncio.create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, line = await loop.create_connection(
                lambda: Carrier(self, self._request), *self._where
            )
        except OSError:
            self._opened -= 1  # another one carries the request, or it is missing
            return
        self.lines.append(line)
        self.free(line)

    def free(self, line: "Carrier") -> None:
        """Give a connection the next request, or none."""
        if self._late:
            line.carry(self._late.popleft())
        else:
            self._free.append(line)

    def note(self, latency: float) -> None:
        """Take down an answer."""
        self.latencies.append(latency)
        if len(self.latencies) == self._wanted:
            self._all.set()

    async def answers(self, number: int, patience: float) -> None:
        """Wait until there are so many, but not for ever."""
        self._wanted = number
        if len(self.latencies) < number:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all.wait(), patience)

    def gone(self, line: "Carrier") -> None:
        """Do without a connection that was closed."""
        self._opened -= 1
        if line in self._free:
            self._free.remove(line)


class Carrier(Line):
    """Carries one request at a time for a crowd."""

    def __init__(self, crowd: Crowd, request: bytes) -> None:
        super().__init__(request)
        self._crowd, self._due = crowd, 0.0

    def carry(self, due: float) -> None:
        """Send a request that was due then."""
        self._due = due
        self.send()

    def answered(self) -> None:
        """Note how long it took."""
        self._crowd.note(time.perf_counter() - self._due)
        self._crowd.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave; a request that it carried is missing."""
        self._crowd.gone(self)
        self.done.set_result(None)


async def arrive(  # noqa: PLR0913 - each is a separate choice
    url: str,
    rate: float,
    seconds: float,
    token: str = "",
    body: str = "",
    *,
    seed: int = 1,
    patience: float = PATIENCE,
) -> dict:
    """Let requests arrive for so long; return what was measured."""
    crowd, chance = Crowd(url, token, body), random.Random(seed)
    began = due = time.perf_counter()
    sent = 0
    while (due := due + chance.expovariate(rate)) < began + seconds:
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        crowd.arrive(due)
        sent += 1
    await crowd.answers(sent, patience)
    taken = max(time.perf_counter() - began, seconds)
    wrong = sum(line.errors for line in crowd.lines) + sent - len(crowd.latencies)
    for line in crowd.lines:
        line.transport.close()
    await asyncio.gather(*(line.done for line in crowd.lines))
    return {"offered_rps": round(rate, 1), **told(crowd.latencies, wrong, taken)}
