"""Streams through the edge."""

import asyncio
import time
from urllib.parse import urlsplit

import httpx

from cartrita.edge import Edge
from tests.support.api_server import serving
from tests.support.database import free_ports
from tests.support.edge import running_edge


class Teller:
    """Streams pieces, the next one once the test has the one before."""

    PIECES = 20

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return
        self.loop, self.heard = asyncio.get_running_loop(), asyncio.Queue()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(self.PIECES):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await self.heard.get()
        await send({"type": "http.response.body", "body": b""})

    def hear(self, url):
        """Read it all; return the seconds that took."""
        began = time.perf_counter()
        with httpx.stream("GET", url, timeout=10) as answer:
            for _ in answer.iter_raw():
                self.loop.call_soon_threadsafe(self.heard.put_nowait, None)
        return time.perf_counter() - began


def test_passes_each_piece_of_a_stream_on_at_once(tmp_path):
    teller = Teller()
    with serving(teller) as url:
        made = Edge("127.0.0.1", *free_ports(2), urlsplit(url).port)
        with running_edge(made, tmp_path):
            through = [teller.hear(f"http://127.0.0.1:{made.port}/") for _ in range(3)]
        direct = [teller.hear(url) for _ in range(3)]

    # Held back by the kernel, each piece would take some 200 ms, hundreds of times as long.
    assert min(through) < 30 * min(direct)
