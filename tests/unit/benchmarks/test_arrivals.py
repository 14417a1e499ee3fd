"""Requests that arrive whether or not earlier ones were answered."""

import asyncio
from contextlib import asynccontextmanager

from benchmarks.arrivals import arrive

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BAD = b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def answering(answers, gate=None):
    """Serve these answers in turns, once a gate is open."""
    seen = []

    async def serve(reader, writer):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                seen.append(writer)
                if gate:
                    await gate(len(seen))
                writer.write(answers[len(seen) % len(answers)])
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", seen


async def test_every_request_is_answered_and_refusals_are_errors():
    async with answering([GOOD, BAD]) as (url, seen):
        found = await arrive(url, 200, 0.3)
    assert found["requests"] == len(seen) > 0
    assert found["errors"] == len(seen) // 2 + len(seen) % 2


async def test_the_same_seed_makes_the_same_arrivals():
    async with answering([GOOD]) as (url, _):
        first, again = [await arrive(url, 300, 0.2, seed=7) for _ in range(2)]
        other = await arrive(url, 300, 0.2, seed=8)
    assert first["requests"] == again["requests"] != other["requests"]


async def test_a_server_that_stands_still_is_late_for_all_that_arrived_meanwhile():
    everybody = asyncio.Event()

    async def together(number):
        if number == 20:
            everybody.set()
        await asyncio.wait_for(everybody.wait(), 10)

    async with answering([GOOD], together) as (url, seen):
        found = await arrive(url, 200, 0.3)
    assert len({id(writer) for writer in seen[:20]}) == 20
    assert found["requests"] == len(seen)
    assert found["p99_ms"] > found["p50_ms"] > 0


async def test_a_request_whose_connection_breaks_is_an_error():
    async def broken(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(broken, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await arrive(f"http://127.0.0.1:{port}/", 100, 0.1, patience=0.5)
    assert found["requests"] == 0
    assert found["errors"] > 0
