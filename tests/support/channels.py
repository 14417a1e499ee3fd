"""A service to talk to over real channels, and a peer that does not keep the rules."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

from cartrita.channel.address import Address
from cartrita.channel.frames import VERSION, Decoder, Kind, encode
from cartrita.channel.server import ChannelServer
from cartrita.errors import QueueFull

TOKEN = "the token"


class Answers:
    """Answers requests in the ways a test asks for.

    `hold` waits until the test sets `release`; `entered` and `left` tell the test about it.
    """

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.entered: asyncio.Queue = asyncio.Queue()
        self.left: asyncio.Queue = asyncio.Queue()
        self.inside = self.most = self.handled = 0

    async def handle(self, method, payload, call):
        self.handled += 1
        return await getattr(self, f"on_{method}")(payload, call)

    async def on_echo(self, payload, call):
        return payload

    async def on_call(self, payload, call):
        return [call.peer, call.timeout, call.trace]

    async def on_hold(self, payload, call):
        self.entered.put_nowait(payload)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.left.put_nowait(payload)
            raise
        finally:
            self.inside -= 1
        return payload

    async def on_large(self, payload, call):
        return b"x" * payload

    async def on_emit(self, payload, call):
        for number in range(payload):
            call.emit(number)
        return "done"

    async def on_pour(self, payload, call):
        for number in range(payload):
            await call.send(number)
        return "done"

    async def on_refuse(self, payload, call):
        raise QueueFull("no room", fields=[("a", "b")], retry_after=2.5)

    async def on_break(self, payload, call):
        return 1 / 0

    async def on_lose(self, payload, call):
        """Await something that somebody else cancelled."""
        inner = asyncio.get_running_loop().create_future()
        inner.cancel()
        await inner

    async def on_unsayable(self, payload, call):
        return object()


@asynccontextmanager
async def serving(service, address=None, **options) -> AsyncIterator[tuple[ChannelServer, Address]]:
    """Run a channel server, by default at a Unix socket."""
    start = {key: options.pop(key) for key in ("tls", "plain_tcp") if key in options}
    server = ChannelServer("the server", service, token=TOKEN, **options)
    with ExitStack() as stack:
        if address is None:
            folder = tempfile.TemporaryDirectory(prefix="ctc-", dir="/tmp")
            address = Address.unix(Path(stack.enter_context(folder)) / "s")
        try:
            yield server, await server.start(address, **start)
        finally:
            await server.stop()


class RawPeer:
    """Writes any bytes and reads frames, without the manners of a `Channel`."""

    def __init__(self, reader, writer):
        self._reader, self._writer, self._decoder = reader, writer, Decoder()
        self._frames: list = []

    def write(self, *frames) -> None:
        """Send frames in one piece; bytes go as they are."""
        self._writer.write(b"".join(f if isinstance(f, bytes) else encode(*f) for f in frames))

    async def frame(self, within: float = 5.0) -> list | None:
        """Return the next frame; None at the end of the connection."""
        while not self._frames:
            async with asyncio.timeout(within):
                data = await self._received()
            if not data:
                return None
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    async def _received(self) -> bytes:
        with suppress(ConnectionError):
            return await self._reader.read(1 << 16)
        return b""

    async def gone(self) -> bool:
        """Read to the end of the connection."""
        while await self.frame() is not None:
            pass
        return True


def hello(token=TOKEN, version=VERSION, epoch=0):
    return [Kind.HELLO, 0, version, token, "raw", epoch]


@asynccontextmanager
async def raw_peer(address: Address, *, greet: bool = True) -> AsyncIterator[RawPeer]:
    """Connect without a `Channel`; with `greet`, the handshake is done."""
    reader, writer = await asyncio.open_unix_connection(address.path)
    peer = RawPeer(reader, writer)
    try:
        if greet:
            peer.write(hello())
            assert (await peer.frame())[0] == Kind.WELCOME
        yield peer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
