"""Stands between a client and a server, and cuts connections where a seed says so."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

WAYS = ("in a request", "after a request", "in an answer")
"""Where a connection is cut: the server saw a part of it, all of it, or has answered it."""


class Proxy:
    """Passes bytes on, until it does not.

    Args:
        url: The server's address, by TCP.
        chance: Decides.
        cuts: How many connections are cut at most.
    """

    def __init__(self, url: str, chance: random.Random, cuts: int) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self._parts, self._server = parts, (parts.hostname, parts.port)
        self._chance, self._left = chance, cuts
        self._lines: set[asyncio.Task[None]] = set()
        self.cuts: Counter[str] = Counter()
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Proxy"]:
        """Listen for as long as the context is open."""
        listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        place = f"{self._parts.username}:{self._parts.password}@127.0.0.1:{port}"
        self.url = self._parts._replace(netloc=place).geturl()
        try:
            yield self
        finally:
            listener.close()
            for line in self._lines:
                line.cancel()
            await asyncio.gather(*self._lines, return_exceptions=True)
            await listener.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)
        there, back = await asyncio.open_connection(*self._server)
        # Each connection lives for a while: its first words are about who we are.
        way, messages = self._chance.choice(WAYS), self._chance.randint(4, 14)
        asked = asyncio.create_task(self._pass(reader, back, way, messages, "request"))
        answered = asyncio.create_task(self._pass(there, writer, way, messages, "answer"))
        try:
            await asyncio.wait((asked, answered), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in (asked, answered):
                one.cancel()
            for end in (writer, back):
                end.close()
                with suppress(OSError):
                    await end.wait_closed()

    async def _pass(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        way: str,
        messages: int,
        what: str,
    ) -> None:
        """Pass on what comes from one side, until it is this side's turn to be cut."""
        while data := await source.read(1 << 16):
            messages -= 1
            cut = messages <= 0 and self._left > 0 and what in way
            if cut:
                self._left -= 1
                self.cuts[way] += 1
                if way != "after a request":
                    data = data[: self._chance.randrange(len(data))]
            with suppress(OSError):
                sink.write(data)
                await sink.drain()
            if cut:
                return
