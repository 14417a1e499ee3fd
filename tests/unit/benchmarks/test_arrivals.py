"""Requests that arrive whether or not earlier ones were answered."""

import asyncio
from contextlib import asynccontextmanager

from benchmarks.arrivals import arrive

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BAD = b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n"
CLOSE = b""


class Server(asyncio.Protocol):
    """Gives answers in turns, the first ones only when so many have asked."""

    def __init__(self, answers, seen, together):
        self._answers, self._seen, self._together = answers, seen, together
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        self._seen.append(self)
        if len(self._seen) == self._together:
            for server in self._seen:
                server.answer(self._answers[0])
        elif len(self._seen) > self._together:
            self.answer(self._answers[len(self._seen) % len(self._answers)])

    def answer(self, answer):
        self._transport.write(answer)
        if answer == CLOSE:
            self._transport.close()

    def connection_lost(self, exc):
        self.gone.set_result(None)


@asynccontextmanager
async def answering(*answers, together=0):
    seen = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(answers, seen, together), "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", seen
        await asyncio.gather(*{one.gone for one in seen})


async def test_every_request_is_answered_and_refusals_are_errors():
    async with answering(GOOD, BAD) as (url, seen):
        found = await arrive(url, 200, 0.3)
    assert found["requests"] == len(seen) > 1
    assert found["errors"] == (len(seen) + 1) // 2


async def test_the_same_seed_makes_the_same_arrivals():
    async with answering(GOOD) as (url, _):
        first, again = [await arrive(url, 300, 0.2, seed=7) for _ in range(2)]
        other = await arrive(url, 300, 0.2, seed=8)
    assert first["requests"] == again["requests"] != other["requests"]


async def test_a_server_that_does_not_answer_keeps_nobody_from_arriving():
    async with answering(GOOD, together=20) as (url, seen):
        found = await arrive(url, 200, 0.3)
    assert len(set(seen[:20])) == 20  # each on a connection of its own
    assert found["requests"] == len(seen)
    assert found["errors"] == 0
    assert found["p99_ms"] > found["p50_ms"] > 0


async def test_a_request_whose_connection_breaks_is_an_error():
    async with answering(CLOSE) as (url, seen):
        found = await arrive(url, 100, 0.2, patience=0.1)
    assert found["requests"] == 0
    assert found["errors"] == len(seen) > 0
