"""The calling end of a channel."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from cartrita.channel.address import Address
from cartrita.channel.frames import VERSION, Kind
from cartrita.channel.link import Link
from cartrita.channel.tls import check_private
from cartrita.channel.window import Window
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

LONGEST_TIMER = 86_400.0
"""Seconds; a timer that is too early is set again."""

TICK = 0.001
"""Seconds; uvloop's timers know no smaller ones, and would ring again and again until then."""


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


class Asked(asyncio.Future[Any]):
    """The reply to a request that was sent; cancelling it tells the server.

    Attributes:
        method: What was asked for.
        until: When it is too late, in the loop's time.
        exchange: Hears what comes before the reply.
    """

    def __init__(
        self, channel: "Channel", ident: int, method: str, until: float, exchange: Exchange | None
    ) -> None:
        super().__init__(loop=channel.loop)
        self._channel, self._ident = channel, ident
        self.method, self.until, self.exchange = method, until, exchange

    def cancel(self, msg: Any | None = None) -> bool:
        """Want no reply any more (asyncio calls this, too, for whoever awaits it)."""
        cancelled = super().cancel(msg)
        if cancelled:
            self._channel.withdraw(self._ident)
        return cancelled


class Channel(Link):
    """Many requests at once over one connection; make one with `connect`."""

    def __init__(self) -> None:
        super().__init__()
        self._pending: dict[int, Asked] = {}
        self._next = 0
        self._unanswered = 0
        self._window = Window(1)
        self._clock: asyncio.TimerHandle | None = None
        self._welcome: asyncio.Future[list[Any]] = self._loop.create_future()
        self._beat: asyncio.TimerHandle | None = None
        self.epoch = 0
        self.server = ""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where it lives."""
        return self._loop

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
            asked = self._pending.get(ident)
            if asked and asked.exchange:
                asked.exchange.on_event(frame[2])
        elif kind == Kind.WELCOME and not self._welcome.done():
            self._welcome.set_result(frame)
        elif kind == Kind.PONG:
            self._unanswered = 0

    def _settle(self, ident: int, value: Any, error: CartritaError | None) -> None:
        asked = self._pending.pop(ident, None)
        if asked is None:
            return
        self._window.leave()
        if asked.done():
            return
        if error is None:
            asked.set_result(value)
        else:
            asked.set_exception(error)

    def lost(self, error: CartritaError) -> None:
        """Fail everything that waits: whether it was done is unknown."""
        for timer in (self._beat, self._clock):
            if timer:
                timer.cancel()
        if not self._welcome.done():
            self._welcome.set_exception(error)
            self._welcome.exception()  # connect() may have left already
        for ident in list(self._pending):
            self._settle(ident, None, error)

    async def hello(self, token: str, peer: str, epoch: int) -> None:
        """Introduce ourselves and wait for the server's judgement."""
        self.send(Kind.HELLO, 0, VERSION, token, peer, epoch)
        async with asyncio.timeout(CONNECT_TIMEOUT):  # wait_for may swallow a cancellation
            welcome = await self._welcome
        try:
            _, _, version, self.server, self.epoch, window = welcome
            self._window = Window(window)
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
        if self.ready:
            return await self.post(method, payload, timeout, trace, exchange)
        left = await self._turn(method, timeout)
        try:
            asked = self._post(method, payload, left, trace, exchange)
        except CartritaError:
            self._window.leave()
            raise
        return await asked

    @property
    def ready(self) -> bool:
        """Whether a request can be sent at once."""
        return self._writable is None and not self._window.full

    def post(
        self,
        method: str,
        payload: Any,
        timeout: float,
        trace: str | None = None,
        exchange: Exchange | None = None,
    ) -> Asked:
        """Send a request over a channel that is `ready`, and return its reply to come.

        Raises:
            ChannelLost: The connection has ended.
            ResourceLimitExceeded: It is too large.
        """
        asked = self._post(method, payload, timeout, trace, exchange)
        self._window.enter()
        return asked

    async def _turn(self, method: str, timeout: float) -> float:
        """Wait for a place in the window and a peer that reads; returns the time left."""
        ends = self._loop.time() + timeout
        try:
            async with asyncio.timeout_at(ends):
                await self.drain()
                await self._window.turn()
        except TimeoutError:
            raise TaskTimeout(f"{self.server!r} had no room for {method!r} in time.") from None
        return ends - self._loop.time()

    def _post(
        self,
        method: str,
        payload: Any,
        timeout: float,
        trace: str | None,
        exchange: Exchange | None,
    ) -> Asked:
        ident = self._next = self._next + 1
        self.send(Kind.REQUEST, ident, method, max(1, int(timeout * 1000)), trace, payload)
        asked = Asked(self, ident, method, self._loop.time() + timeout, exchange)
        self._pending[ident] = asked
        if exchange:
            exchange.begin(self, ident)
        if self._clock is None or asked.until < self._clock.when():
            self._set_clock(asked.until)
        return asked

    def _set_clock(self, until: float) -> None:
        """Look at what is too late then: one timer for all, as most are answered long before."""
        if self._clock:
            self._clock.cancel()
        latest = self._loop.time() + LONGEST_TIMER
        self._clock = self._loop.call_at(min(until, latest), self._expire)

    def _expire(self) -> None:
        self._clock = None
        due = self._loop.time() + TICK
        for ident, asked in [one for one in self._pending.items() if one[1].until <= due]:
            text = f"{self.server!r} did not answer {asked.method!r} in time."
            self._settle(ident, None, TaskTimeout(text))
            self._cancel(ident)
        if self._pending:
            self._set_clock(min(asked.until for asked in self._pending.values()))

    def withdraw(self, ident: int) -> None:
        """Tell the server that nobody waits for a reply any more."""
        if self._pending.pop(ident, None) is not None:
            self._window.leave()
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
