"""The serving end of a channel."""

import asyncio
import hmac
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cartrita.channel.address import Address
from cartrita.channel.frames import VERSION, Kind
from cartrita.channel.link import Link
from cartrita.errors import (
    AuthenticationFailed,
    CartritaError,
    ConfigurationInvalid,
    InternalFailure,
    QueueFull,
)

HELLO_TIMEOUT = 5.0
"""Seconds a stranger has to say who it is."""


@dataclass(slots=True)
class Call:
    """One request as its handler sees it.

    Attributes:
        ident: The request's id on its connection.
        timeout: Seconds the caller still waits.
        trace: The caller's W3C `traceparent`.
        peer: Who calls, as it introduced itself.
    """

    ident: int
    timeout: float
    trace: str | None
    peer: str
    _session: "Session"

    def emit(self, payload: Any) -> None:
        """Send an event in the course of this request."""
        self._session.send(Kind.EVENT, self.ident, payload)


class Service(Protocol):
    """What answers requests."""

    async def handle(self, method: str, payload: Any, call: Call) -> Any:
        """Do the work and return plain values; raise a `CartritaError` to refuse."""


class Session(Link):
    """One client's connection, on the server's side."""

    def __init__(self, server: "ChannelServer") -> None:
        super().__init__()
        self._server = server
        self._peer = ""
        self._running: dict[int, asyncio.Task[None]] = {}
        self._hello_timer = self._loop.call_later(HELLO_TIMEOUT, self._no_hello)

    def _no_hello(self) -> None:
        self.abort(AuthenticationFailed("The peer did not introduce itself."))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count this connection (asyncio calls this)."""
        super().connection_made(transport)
        self._server.sessions.add(self)

    def lost(self, error: CartritaError) -> None:
        """Stop what this client asked for: nobody is there to hear it."""
        self._hello_timer.cancel()
        self._server.sessions.discard(self)
        for task in self._running.values():
            task.cancel()

    def receive(self, frame: list[Any]) -> None:
        """Act on one frame of the client's."""
        kind, ident = frame[0], frame[1]
        if not self._peer:
            self._greet(frame)
        elif kind == Kind.REQUEST:
            self._begin(ident, frame)
        elif kind == Kind.CANCEL:
            self._cancel(ident)
        elif kind == Kind.PING:
            self.send(Kind.PONG, ident)

    def _cancel(self, ident: int) -> None:
        task = self._running.get(ident)
        if task:  # one that had not begun never runs, not even what forgets it
            task.add_done_callback(lambda _: self._running.pop(ident, None))
            task.cancel()

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
        self._running[ident] = self._loop.create_task(self._serve(frame[2], frame[5], call))

    async def _serve(self, method: str, payload: Any, call: Call) -> None:
        try:
            reply = await self._server.service.handle(method, payload, call)
            self.send(Kind.REPLY, call.ident, reply)
            if self._writable is not None:
                await self.drain()
        except CartritaError as error:
            self._fail(call.ident, error)
        except asyncio.CancelledError:
            # The caller left or gave up and needs no answer, unless it was something else.
            if not _was_cancelled():
                self._fail(call.ident, InternalFailure(f"{method!r} was given up from within."))
        except Exception as error:  # noqa: BLE001 - a defect must not take the channel down
            self._server.report(method, error)
            self._fail(call.ident, InternalFailure(f"{method!r} failed: {type(error).__name__}"))
        finally:
            self._running.pop(call.ident, None)

    def _fail(self, ident: int, error: CartritaError) -> None:
        if not self.closed.done():
            self.send(Kind.FAILURE, ident, error.to_wire())


def _was_cancelled() -> bool:
    """Tell whether somebody cancelled this task, rather than something it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


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
        self.epoch, self.least_epoch, self.window = epoch, least_epoch, window
        self.sessions: set[Session] = set()
        self._server: asyncio.Server | None = None
        self._path: Path | None = None

    async def start(
        self, address: Address, tls: ssl.SSLContext | None = None, *, plain_tcp: bool = False
    ) -> Address:
        """Begin to listen and return where, with the port that was given for port 0.

        Raises:
            ConfigurationInvalid: TCP without TLS was not allowed by a setting.
        """
        loop = asyncio.get_running_loop()
        if address.path:
            self._path = Path(address.path)
            with suppress(FileNotFoundError):
                self._path.unlink()
            self._server = await loop.create_unix_server(
                lambda: Session(self), address.path, start_serving=False
            )
            self._path.chmod(0o600)  # before anybody can connect
            await self._listen(self._server)
            return address
        if tls is None and not plain_tcp:
            raise ConfigurationInvalid(
                "A channel over TCP needs TLS; plain TCP is for networks you trust and must be "
                "allowed by name."
            )
        self._server = await loop.create_server(
            lambda: Session(self), address.host, address.port, ssl=tls, start_serving=False
        )
        await self._listen(self._server)
        port = self._server.sockets[0].getsockname()[1]
        return Address(host=address.host, port=port)

    async def _listen(self, server: asyncio.Server) -> None:
        try:
            await server.start_serving()
        except BaseException:
            server.close()
            raise

    def report(self, method: str, error: Exception) -> None:
        """Tell the loop's exception handler about a defect in the service."""
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"{self.name}: {method!r} failed", "exception": error}
        )

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._server:
            self._server.close()
        for session in list(self.sessions):
            session.close()
        if self._path:
            with suppress(FileNotFoundError):
                self._path.unlink()
