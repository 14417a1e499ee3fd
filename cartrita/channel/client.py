"""The calling end of a channel."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from cartrita.channel.address import Address
from cartrita.channel.frames import VERSION, Kind
from cartrita.channel.link import Link
from cartrita.channel.tls import check_private
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


class Exchange:
    """What one request hears before its reply.

    The server sends at most `CREDIT` events that were not granted.

    Args:
        on_event: Called with each event, in order; it must not raise.
    """

    def __init__(self, on_event: Callable[[Any], None]) -> None:
        self.on_event = on_event
        self._channel: Channel | None = None
        self._ident = 0

    def begin(self, channel: "Channel", ident: int) -> None:
        """Belong to a request that is being sent."""
        self._channel, self._ident = channel, ident

    def grant(self, amount: int) -> None:
        """Tell the server that `amount` more events can be taken."""
        if self._channel is not None:
            self._channel.credit(self._ident, amount)


class Channel(Link):
    """Many requests at once over one connection; make one with `connect`."""

    def __init__(self) -> None:
        super().__init__()
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._exchanges: dict[int, Exchange] = {}
        self._next = 0
        self._unanswered = 0
        self._window = asyncio.Semaphore(1)
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
        elif kind == Kind.EVENT:
            exchange = self._exchanges.get(ident)
            if exchange:
                exchange.on_event(frame[2])
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
        self,
        method: str,
        payload: Any,
        timeout: float,
        trace: str | None = None,
        exchange: Exchange | None = None,
    ) -> Any:
        """Ask the server to do something and return its reply.

        Cancelling the caller sends a CANCEL frame. `timeout` is in seconds, travels with the
        request as its deadline, and is awaited here. Events go to `exchange`, if there is one.

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
            return await self._ask([method, payload, timeout, trace], exchange)
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

    async def _ask(self, asked: list[Any], exchange: Exchange | None) -> Any:
        method, payload, timeout, trace = asked
        self._next += 1
        ident, future = self._next, self._loop.create_future()
        self.send(Kind.REQUEST, ident, method, max(1, int(timeout * 1000)), trace, payload)
        self._pending[ident] = future
        if exchange:
            self._exchanges[ident] = exchange
            exchange.begin(self, ident)
        timer = self._loop.call_later(timeout, self._expire, ident, method)
        try:
            return await future
        finally:
            timer.cancel()
            if exchange:
                del self._exchanges[ident]
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
        if not self.closed.done() and ident in self._pending:
            self.send(Kind.CREDIT, ident, amount)


async def connect(
    address: Address | str,
    *,
    token: str,
    peer: str,
    epoch: int = 0,
    tls: ssl.SSLContext | None = None,
    plain_tcp: bool = False,
) -> Channel:
    """Open a channel and finish its handshake.

    Raises:
        ConfigurationInvalid: TCP without TLS was not allowed by a setting; nothing was sent.
        ChannelLost: Nobody listens there, or they do not answer.
        AuthenticationFailed: They refuse the token.
    """
    if isinstance(address, str):
        address = Address.parse(address)
    if not address.path:
        check_private(tls, plain_tcp=plain_tcp)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            channel: Channel
            if address.path:
                _, channel = await loop.create_unix_connection(Channel, address.path)
            else:
                _, channel = await loop.create_connection(
                    Channel, address.host, address.port, ssl=tls
                )
    except (OSError, TimeoutError, ssl.SSLError) as error:
        raise ChannelLost(f"Nobody answers at {str(address)!r}: {_why(error)}") from error
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


def _why(error: BaseException) -> str:
    """Return what an error says, or its name where it says nothing."""
    return str(error) or type(error).__name__
