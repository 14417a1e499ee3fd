"""The serving end of a channel."""

import asyncio
import hmac
import ssl
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from cartrita.cancelled import told_to_end
from cartrita.channel.address import Address
from cartrita.channel.frames import CREDIT, VERSION, Kind
from cartrita.channel.link import Link
from cartrita.channel.tls import check_private
from cartrita.errors import (
    AuthenticationFailed,
    CartritaError,
    ChannelLost,
    InternalFailure,
    QueueFull,
)

HELLO_TIMEOUT = 5.0
"""Seconds a stranger has to say who it is."""

MOST_CREDIT = 1 << 20
"""A reader that grants more than this has miscounted."""


@dataclass(slots=True)
class Call:
    """One request as its handler sees it.

    Attributes:
        ident: The request's id on its connection.
        timeout: Seconds the caller still waits.
        trace: The caller's W3C `traceparent`.
        peer: Who calls, as it introduced itself.
        credit: How many more events the caller takes by `send`.
    """

    ident: int
    timeout: float
    trace: str | None
    peer: str
    _session: "Session"
    credit: int = CREDIT
    _granted: asyncio.Event | None = None

    @property
    def gone(self) -> bool:
        """Whether the caller's connection is closed: it died, or its network did."""
        return self._session.closed.done()

    def emit(self, payload: Any) -> None:
        """Send an event in the course of this request, whether or not the caller has room."""
        self._session.send(Kind.EVENT, self.ident, payload)

    async def send(self, payload: Any) -> None:
        """Send an event once the caller can take it: a slow reader holds its writer back."""
        while self.credit <= 0:
            if self._granted is None:
                self._granted = asyncio.Event()
            self._granted.clear()
            await self._granted.wait()
        self.credit -= 1
        self.emit(payload)

    def granted(self, amount: int) -> None:
        """Note that the caller can take `amount` more events.

        Raises:
            ValueError: That is no amount.
        """
        if not 0 < amount <= MOST_CREDIT or self.credit > MOST_CREDIT:
            raise ValueError(f"{amount!r} is no credit")
        self.credit += amount
        if self._granted:
            self._granted.set()


class Service(Protocol):
    """What answers requests."""

    async def handle(self, method: str, payload: Any, call: Call) -> Any:
        """Do the work and return plain values; raise a `CartritaError` to refuse."""


@runtime_checkable
class Prompt(Protocol):
    """A service that takes up some requests at once, which a task of asyncio's for each is not."""

    def begin(self, method: str, payload: Any, call: Call, /) -> asyncio.Future[Any] | None:
        """Return the reply to come, which a caller who leaves cancels; None leaves it to `handle`.

        It raises a `CartritaError` to refuse.
        """


class Session(Link):
    """One client's connection, on the server's side."""

    def __init__(self, server: "ChannelServer") -> None:
        super().__init__()
        self._server = server
        self._peer = ""
        self._running: dict[int, tuple[asyncio.Future[Any], Call]] = {}
        self._hello_timer = self._loop.call_later(HELLO_TIMEOUT, self._no_hello)

    def _no_hello(self) -> None:
        self.abort(AuthenticationFailed("The peer did not introduce itself."))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count this connection (asyncio calls this)."""
        super().connection_made(transport)
        if self.closed.done():  # a handshake of TLS that outlived our patience
            self.close()
            return
        if self._server.stopped:  # accepted in that very moment
            self.abort(ChannelLost("The server stopped."))
            return
        self._server.sessions.add(self)

    def lost(self, error: CartritaError) -> None:
        """Stop what this client asked for: nobody is there to hear it."""
        self._hello_timer.cancel()
        self._server.sessions.discard(self)
        for running, _ in list(self._running.values()):
            running.cancel()

    def receive(self, frame: list[Any]) -> None:
        """Act on one frame of the client's."""
        kind, ident = frame[0], frame[1]
        if not self._peer:
            self._greet(frame)
        elif kind == Kind.REQUEST:
            self._begin(ident, frame)
        elif kind == Kind.CANCEL:
            self._cancel(ident)
        elif kind == Kind.CREDIT:
            self._grant(ident, frame[2])
        elif kind == Kind.PING:
            self.send(Kind.PONG, ident)

    def _cancel(self, ident: int) -> None:
        if ident not in self._running:
            return
        running = self._running[ident][0]
        if isinstance(running, asyncio.Task):
            # One that had not begun never runs, not even what forgets it.
            running.add_done_callback(lambda _: self._running.pop(ident, None))
        else:
            del self._running[ident]
        running.cancel()

    def _grant(self, ident: int, amount: int) -> None:
        running = self._running.get(ident)
        if running:
            running[1].granted(amount)

    def _greet(self, frame: list[Any]) -> None:
        if self._transport is None or self._transport.is_closing():
            return  # one guess per connection
        server = self._server
        ok = (
            len(frame) == 6  # noqa: PLR2004 - the fields of HELLO
            and frame[0] == Kind.HELLO
            and frame[2] == VERSION
            and isinstance(frame[3], str)
            and hmac.compare_digest(frame[3].encode(), server.token.encode())
            and frame[5] >= server.least_epoch
        )
        if not ok:
            refusal = AuthenticationFailed("The channel token, version or epoch is not accepted.")
            self.send(Kind.FAILURE, 0, refusal.to_wire())
            self.close()
            return
        self._hello_timer.cancel()
        self._peer = str(frame[4]) or "?"
        self.send(Kind.WELCOME, 0, VERSION, server.name, server.epoch, server.window)

    def _begin(self, ident: int, frame: list[Any]) -> None:
        if ident in self._running:
            raise ValueError(f"request {ident} runs already")
        if len(self._running) >= self._server.window:
            error = QueueFull(f"{self._server.name!r} has {len(self._running)} requests from you.")
            self.send(Kind.FAILURE, ident, error.to_wire())
            return
        call = Call(ident, frame[3] / 1000, frame[4], self._peer, self)
        method, payload, begin = frame[2], frame[5], self._server.begin
        running: asyncio.Future[Any] | None
        try:
            running = begin(method, payload, call) if begin else None
        except Exception as error:  # noqa: BLE001 - a defect must not take the channel down
            self._failed(ident, method, error)
            return
        if running is None:
            running = self._loop.create_task(self._serve(method, payload, call))
        else:
            running.add_done_callback(partial(self._answer, ident, method))
        self._running[ident] = (running, call)

    def _answer(self, ident: int, method: str, reply: asyncio.Future[Any]) -> None:
        """Send the reply to what was taken up at once, unless nobody wants it any more."""
        given_up = reply.cancelled()
        error = None if given_up else reply.exception()
        running = self._running.get(ident)
        if running is None or running[0] is not reply or self.closed.done():
            return
        if given_up:
            self._failed(ident, method, asyncio.CancelledError())
        elif error is not None:
            self._failed(ident, method, error)
        else:
            try:
                self.send(Kind.REPLY, ident, reply.result())
            except CartritaError as refusal:  # it has no form, or is too large
                self._fail(ident, refusal)
        if self._writable is None:
            del self._running[ident]
        else:  # a peer that reads slowly has its window filled by what it did not read
            self._running[ident] = (self._loop.create_task(self._linger(ident)), running[1])

    async def _linger(self, ident: int) -> None:
        try:
            await self.drain()
        except ChannelLost:
            pass
        finally:
            self._running.pop(ident, None)

    async def _serve(self, method: str, payload: Any, call: Call) -> None:
        try:
            reply = await self._server.service.handle(method, payload, call)
            self.send(Kind.REPLY, call.ident, reply)
            if self._writable is not None:
                await self.drain()
        except asyncio.CancelledError as error:
            # The caller left or gave up and needs no answer, unless it was something else.
            if not told_to_end():
                self._failed(call.ident, method, error)
        except Exception as error:  # noqa: BLE001 - a defect must not take the channel down
            self._failed(call.ident, method, error)
        finally:
            self._running.pop(call.ident, None)

    def _failed(self, ident: int, method: str, error: BaseException) -> None:
        """Answer with what a request failed with; a defect is reported and not shown."""
        if isinstance(error, CartritaError):
            self._fail(ident, error)
        elif isinstance(error, asyncio.CancelledError):
            self._fail(ident, InternalFailure(f"{method!r} was given up from within."))
        else:
            self._server.report(method, error)
            self._fail(ident, InternalFailure(f"{method!r} failed: {type(error).__name__}"))

    def _fail(self, ident: int, error: CartritaError) -> None:
        if not self.closed.done():
            self.send(Kind.FAILURE, ident, error.to_wire())


class ChannelServer:
    """Listens at one address and hands requests to a service.

    Args:
        name: How this server introduces itself.
        service: What answers.
        token: What clients must present.
        epoch: Which incarnation this is.
        least_epoch: Clients that act for an older incarnation than this are refused.
        window: Requests one client may have in flight.
    """

    def __init__(
        self,
        name: str,
        service: Service,
        *,
        token: str,
        epoch: int = 0,
        least_epoch: int = 0,
        window: int = 4096,
    ) -> None:
        self.name, self.service, self.token = name, service, token
        self.begin = service.begin if isinstance(service, Prompt) else None
        self.epoch, self.least_epoch, self.window = epoch, least_epoch, window
        self.sessions: set[Session] = set()
        self.stopped = False
        self._servers: list[asyncio.Server] = []
        self._paths: list[Path] = []

    async def start(
        self, address: Address, tls: ssl.SSLContext | None = None, *, plain_tcp: bool = False
    ) -> Address:
        """Begin to listen and return where, with the port that was given for port 0.

        May be called once for each address to listen at.

        Raises:
            ConfigurationInvalid: TCP without TLS was not allowed by a setting.
        """
        loop = asyncio.get_running_loop()
        if address.path:
            _unlink(path := Path(address.path))
            local = await loop.create_unix_server(
                lambda: Session(self), address.path, start_serving=False
            )
            self._paths.append(path)
            _protect(path)  # before anybody can connect
            await self._listen(local)
            return address
        check_private(tls, plain_tcp=plain_tcp)
        remote = await loop.create_server(
            lambda: Session(self),
            address.host,
            address.port,
            ssl=tls,
            ssl_handshake_timeout=HELLO_TIMEOUT if tls else None,
            start_serving=False,
        )
        await self._listen(remote)
        port = remote.sockets[0].getsockname()[1]
        return Address(host=address.host, port=port)

    async def _listen(self, server: asyncio.Server) -> None:
        try:
            await server.start_serving()
        except BaseException:
            server.close()
            raise
        self._servers.append(server)

    def report(self, method: str, error: BaseException) -> None:
        """Tell the loop's exception handler about a defect in the service."""
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"{self.name}: {method!r} failed", "exception": error}
        )

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        self.stopped = True
        for server in self._servers:
            server.close()
        for session in list(self.sessions):
            session.close()
        for path in self._paths:
            _unlink(path)


def _unlink(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()


def _protect(path: Path) -> None:
    path.chmod(0o600)
