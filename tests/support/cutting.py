"""A wire between a client and its gateways that is cut after so many bytes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

NEVER = 1 << 60


@dataclass
class Wire:
    """What the tests may see and set.

    `allowed` tells for each connection how many bytes of answers it carries, by its first line;
    a later request on it that begins with `trap` cuts it, too.
    """

    ports: Sequence[int]
    allowed: Callable[[str], int]
    trap: bytes | None = None
    url: str = ""
    requests: list[str] = field(default_factory=list)
    cuts: int = 0
    _next: int = 0

    async def carry(self, reader, writer) -> None:
        head = await reader.readuntil(b"\r\n")
        line = head.decode().strip()
        self.requests.append(line)
        port = self.ports[self._next % len(self.ports)]
        self._next += 1
        inward, outward = await asyncio.open_connection("127.0.0.1", port)
        outward.write(head)
        asking = asyncio.create_task(self._asks(reader, outward, writer))
        try:
            await self._answers(inward, writer, self.allowed(line))
        finally:
            asking.cancel()
            outward.close()
            writer.close()

    async def _answers(self, inward, writer, left: int) -> None:
        while left > 0 and (data := await inward.read(4096)):
            writer.write(data[:left])
            await writer.drain()
            left -= len(data)
        if left <= 0:
            self.cuts += 1
            writer.transport.abort()

    async def _asks(self, reader, outward, writer) -> None:
        while data := await reader.read(4096):
            if self.trap and data.startswith(self.trap):
                self.cuts += 1
                writer.transport.abort()
                return
            outward.write(data)
            await outward.drain()


@asynccontextmanager
async def wire(
    ports: Sequence[int], allowed: Callable[[str], int], trap: bytes | None = None
) -> AsyncIterator[Wire]:
    """Run a wire to some ports, which its connections take in turns."""
    made, running = Wire(ports, allowed, trap), set()

    async def carry(reader, writer) -> None:
        running.add(asyncio.current_task())
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await made.carry(reader, writer)

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        for one in running:
            one.cancel()
        await asyncio.gather(*running)
