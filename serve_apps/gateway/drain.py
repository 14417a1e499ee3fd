"""Notices that this gateway is being taken away, so that its streams end before it does.

Serve tells no application. But a replica that shuts down says so to load balancers: `/-/healthz`
at its own port answers 503, and later nobody listens there. So that is what we ask, at the
address at which a stream's request came in, for as long as there are streams.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

EVERY = 0.5
ANSWER_TIMEOUT = 2.0
_ASKED = b"GET /-/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

Server = tuple[str, int | None]


class Drain:
    """Whether the end of this gateway has begun.

    Attributes:
        begun: Set for good once it has.
    """

    def __init__(self, every: float = EVERY) -> None:
        self.begun = asyncio.Event()
        self._every, self._streams = every, 0
        self._watching: asyncio.Task[None] | None = None

    @contextmanager
    def watched(self, server: Server | None) -> Iterator[asyncio.Event]:
        """Watch while a stream is open that came in at a server's address."""
        self._streams += 1
        if self._watching is None and server and server[1]:
            self._watching = asyncio.create_task(self._watch(server[0], server[1]))
        try:
            yield self.begun
        finally:
            self._streams -= 1
            if not self._streams and self._watching:
                self._watching.cancel()
                self._watching = None

    async def _watch(self, host: str, port: int) -> None:
        while not await _leaving(host, port):  # noqa: ASYNC110 - another server's state
            await asyncio.sleep(self._every)
        self.begun.set()


async def _leaving(host: str, port: int) -> bool:
    """Tell whether a server sends its clients elsewhere; False where that is not clear."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_TIMEOUT):
            try:
                reader, writer = await asyncio.open_connection(host, port)
            except ConnectionRefusedError:
                return True
            except OSError:
                return False
            with suppress(OSError):
                writer.write(_ASKED)
                first = await reader.readline()
                writer.close()
                return first.startswith(b"HTTP/1.1 503 ")
    return False
