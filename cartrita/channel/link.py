"""One connection: frames out in batches, frames in one by one."""

import asyncio
import socket
from abc import ABC, abstractmethod
from typing import Any, cast

from cartrita.channel.frames import Decoder, encode
from cartrita.errors import CartritaError, ChannelLost, InvalidMessage

DRAIN_TIMEOUT = 30.0
"""Seconds a writer waits for a slow peer before it gives the peer up."""

SILENCE = 10
"""Seconds without a sign from another node's kernel after which we ask it, every 5 s, twice."""

_OPTIONS = {
    "TCP_KEEPIDLE": SILENCE,
    "TCP_KEEPINTVL": SILENCE // 2,
    "TCP_KEEPCNT": 2,
    "TCP_USER_TIMEOUT": 2 * SILENCE * 1000,
}
"""Linux's names; elsewhere those that exist count."""

MAX_BACKLOG = 64 * 1024 * 1024
"""Bytes that may wait for a peer that does not read; beyond them it is given up."""


def _notice_death(connection: socket.socket) -> None:
    """Have the kernel end a connection to a node that died without a word: it sends no FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Link(asyncio.Protocol, ABC):
    """What client and server ends share. Subclasses read frames in `receive`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._decoder = Decoder()
        self._outgoing: list[bytes] = []
        self._transport: asyncio.WriteTransport | None = None
        self._writable: asyncio.Future[None] | None = None
        self.closed: asyncio.Future[None] = self._loop.create_future()

    @abstractmethod
    def receive(self, frame: list[Any]) -> None:
        """Act on one frame."""

    def lost(self, error: CartritaError) -> None:
        """Act on the end of the connection; called once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport (asyncio calls this)."""
        self._transport = cast("asyncio.WriteTransport", transport)
        found = transport.get_extra_info("socket")
        if found is not None and found.family in (socket.AF_INET, socket.AF_INET6):
            _notice_death(found)

    def data_received(self, data: bytes) -> None:
        """Cut bytes into frames (asyncio calls this)."""
        try:
            for frame in self._decoder.feed(data):
                self.receive(frame)
        except CartritaError as error:
            self.abort(error)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            self.abort(InvalidMessage(f"A frame's fields are wrong: {error}"))

    def pause_writing(self) -> None:
        """Hold writers back: the peer reads slowly (asyncio calls this)."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """Let writers go on (asyncio calls this)."""
        if self._writable and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits (asyncio calls this)."""
        self.resume_writing()
        if not self.closed.done():
            self.closed.set_result(None)
            self.lost(ChannelLost(f"The channel closed: {exc or 'the peer left'}."))

    def send(self, *parts: Any) -> None:
        """Queue a frame; everything queued in one turn of the loop is one write."""
        if self.closed.done():
            raise ChannelLost("The channel is closed.")
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(encode(*parts))

    def _flush(self) -> None:
        transport = self._transport
        if transport and not transport.is_closing():
            transport.write(b"".join(self._outgoing))
            if transport.get_write_buffer_size() > MAX_BACKLOG:
                self.abort(ChannelLost("The peer reads too slowly."))
        self._outgoing.clear()

    async def drain(self) -> None:
        """Wait until the peer has read enough.

        Raises:
            ChannelLost: It did not within `DRAIN_TIMEOUT`.
        """
        if self._writable is None:
            return
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT):
                await asyncio.shield(self._writable)
        except TimeoutError:
            self.abort(ChannelLost("The peer stopped reading."))
            raise ChannelLost("The peer stopped reading.") from None

    def close(self) -> None:
        """Send what is queued and close."""
        if self._transport and not self._transport.is_closing():
            self._flush()
            self._transport.close()

    def abort(self, error: CartritaError) -> None:
        """Close at once because the peer cannot be trusted or does not answer."""
        if self._transport:
            self._transport.abort()
        if not self.closed.done():
            self.closed.set_result(None)
            self.lost(error)
