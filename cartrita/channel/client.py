"""The calling end of a channel."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from cartrita.channel.address import Address
from cartrita.channel.frames import VERSION, Kind
from cartrita.channel.link import Link
from cartrita.errors import (
    AuthenticationFailed,
    CartritaError,
    ChannelLost,
    InvalidMessage,
    TaskTimeout,
    from_wire,
)

CONNECT_TIMEOUT = 5.0
HEARTBEAT = 15.0
"""Seconds between pings; a peer that misses two is lost."""


class Channel(Link):
    """Many requests at once over one connection; make one with `connect`."""

    def __init__(self, on_event: Callable[[int, Any], None] | None = None) -> None:
        super().__init__()
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._next = 0
        self._unanswered = 0
        self._window = asyncio.Semaphore(1)
        self._on_event = on_event
        self._welcome: asyncio.Future[list[Any]] = self._loop.create_future()
        self._beat: asyncio.TimerHandle | None = None
        self.epoch = 0
        self.server = ""

    @property
    def in_flight(self) -> int:
        """How many requests wait for their reply."""
        return len(self._pending)

    def receive(self, frame: list[Any]) -> None:
        """Settle the request a frame belongs to."""
        kind, ident = frame[0], frame[1]
        if kind == Kind.REPLY:
            self._settle(ident, frame[2], None)
        elif kind == Kind.FAILURE:
            error = from_wire(frame[2])
            if not self._welcome.done():
                self._welcome.set_exception(error)
            self._settle(ident, None, error)
        elif kind == Kind.EVENT and self._on_event:
            self._on_event(ident, frame[2])
        elif kind == Kind.WELCOME and not self._welcome.done():
            self._welcome.set_result(frame)
        elif kind == Kind.PONG:
            self._unanswered = 0

    def _settle(self, ident: int, value: Any, error: CartritaError | None) -> None:
        future = self._pending.pop(ident, None)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def lost(self, error: CartritaError) -> None:
        """Fail everything that waits: whether it was done is unknown."""
        if self._beat:
            self._beat.cancel()
        if not self._welcome.done():
            self._welcome.set_exception(error)
            self._welcome.exception()  # connect() may have left already
        for future in self._pending.values():
            if not future.done():
                future.set_exception(error)
        self._pending.clear()

    async def hello(self, token: str, peer: str, epoch: int) -> None:
        """Introduce ourselves and wait for the server's judgement."""
        self.send(Kind.HELLO, 0, VERSION, token, peer, epoch)
        async with asyncio.timeout(CONNECT_TIMEOUT):  # wait_for may swallow a cancellation
            welcome = await self._welcome
        try:
            _, _, version, self.server, self.epoch, window = welcome
            self._window = asyncio.Semaphore(window)
        except (TypeError, ValueError) as error:
            raise InvalidMessage(f"This is no welcome: {welcome!r}") from error
        if version != VERSION:
            raise InvalidMessage(f"{self.server!r} speaks version {version!r}, we {VERSION}.")
        self._beat = self._loop.call_later(HEARTBEAT, self._ping)

    def _ping(self) -> None:
        if self.closed.done():
            return
        self._unanswered += 1
        if self._unanswered > 2:  # noqa: PLR2004 - two missed pings
            self.abort(ChannelLost(f"{self.server!r} does not answer pings."))
            return
        self.send(Kind.PING, self._unanswered)
        self._beat = self._loop.call_later(HEARTBEAT, self._ping)

    async def request(
        self, method: str, payload: Any, timeout: float, trace: str | None = None
    ) -> Any:
        """Ask the server to do something and return its reply.

        Cancelling the caller sends a CANCEL frame. `timeout` is in seconds, travels with the
        request as its deadline, and is awaited here.

        Raises:
            TaskTimeout: No reply came in time.
            ChannelLost: The connection ended first; whether the work was done is unknown.
            CartritaError: What the server failed with.
        """
        if self._writable is not None or self._window.locked():
            timeout = await self._turn(method, timeout)
        else:
            await self._window.acquire()
        try:
            return await self._ask(method, payload, timeout, trace)
        finally:
            self._window.release()

    async def _turn(self, method: str, timeout: float) -> float:
        """Wait for a place in the window and a peer that reads; returns the time left."""
        ends = self._loop.time() + timeout
        try:
            async with asyncio.timeout_at(ends):
                await self.drain()
                await self._window.acquire()
        except TimeoutError:
            raise TaskTimeout(f"{self.server!r} had no room for {method!r} in time.") from None
        return ends - self._loop.time()

    async def _ask(self, method: str, payload: Any, timeout: float, trace: str | None) -> Any:
        self._next += 1
        ident, future = self._next, self._loop.create_future()
        self.send(Kind.REQUEST, ident, method, max(1, int(timeout * 1000)), trace, payload)
        self._pending[ident] = future
        timer = self._loop.call_later(timeout, self._expire, ident, method)
        try:
            return await future
        finally:
            timer.cancel()
            if self._pending.pop(ident, None) is not None:
                self._cancel(ident)

    def _expire(self, ident: int, method: str) -> None:
        future = self._pending.pop(ident, None)
        if future and not future.done():
            future.set_exception(TaskTimeout(f"{self.server!r} did not answer {method!r} in time."))
            self._cancel(ident)

    def _cancel(self, ident: int) -> None:
        if not self.closed.done():
            self.send(Kind.CANCEL, ident)

    def credit(self, ident: int, amount: int) -> None:
        """Tell the server that `amount` more events of a request can be taken."""
        self.send(Kind.CREDIT, ident, amount)


async def connect(
    address: Address | str,
    *,
    token: str,
    peer: str,
    epoch: int = 0,
    tls: ssl.SSLContext | None = None,
    on_event: Callable[[int, Any], None] | None = None,
) -> Channel:
    """Open a channel and finish its handshake.

    Raises:
        ChannelLost: Nobody listens there, or they do not answer.
        AuthenticationFailed: They refuse the token.
    """
    if isinstance(address, str):
        address = Address.parse(address)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            channel: Channel
            if address.path:
                _, channel = await loop.create_unix_connection(
                    lambda: Channel(on_event), address.path
                )
            else:
                _, channel = await loop.create_connection(
                    lambda: Channel(on_event), address.host, address.port, ssl=tls
                )
    except (OSError, TimeoutError, ssl.SSLError) as error:
        raise ChannelLost(f"Nobody answers at {str(address)!r}: {error}") from error
    try:
        await channel.hello(token, peer, epoch)
    except BaseException as error:
        channel.abort(ChannelLost("The handshake failed."))
        if isinstance(error, AuthenticationFailed):
            raise
        if isinstance(error, (TimeoutError, CartritaError)):
            raise ChannelLost(f"{str(address)!r} did not finish the handshake: {error}") from error
        raise
    return channel
