"""One WebSocket, with the limits between it and whoever serves it."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from cartrita.telemetry.log import get_logger
from cartrita.telemetry.metrics import TRANSPORT_CONNECTIONS, TRANSPORT_ERRORS, labelled
from serve_apps.gateway.sockets.bounds import (
    FAILED,
    LATER,
    NORMAL,
    POLICY,
    TOO_BIG,
    Bounds,
    Hangup,
    Tally,
)

log = get_logger(__name__)

CLOSING = 2.0
"""Seconds for which the closing message waits for a client that does not read."""


class Line:
    """Bounds what comes in over a socket, and how long what goes out may take.

    Has no queue: who sends waits until the client has read. So a slow client slows only those
    who tell it something, and after `bounds.slow` seconds it is closed with 1013.

    Attributes:
        over: Done when the socket is closed by us.
        used_at: When the last message came or went, in the event loop's seconds.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, bounds: Bounds) -> None:
        loop = asyncio.get_running_loop()
        self.scope, self._receive, self._send, self._bounds = scope, receive, send, bounds
        self._kind = "socketio" if scope["path"].startswith("/socket.io") else "websocket"
        self._now = loop.time
        self._tally = Tally(bounds.rate, bounds.burst, self._now())
        self.over: asyncio.Future[None] = loop.create_future()
        self.used_at = self._now()

    @property
    def idle(self) -> float:
        """For how many seconds nothing came or went."""
        return self._now() - self.used_at

    async def receive(self) -> Message:
        """Return the next message; a disconnect when it breaks a rule, after closing for that."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return message
        self.used_at = self._now()
        try:
            self._judge(message)
        except Hangup as hangup:
            await self.close(hangup.code, hangup.why)
            return {"type": "websocket.disconnect", "code": hangup.code}
        return message

    def _judge(self, message: Message) -> None:
        text, data = message.get("text"), message.get("bytes")
        size = len(data) if data is not None else len((text or "").encode("utf-8", "replace"))
        if size > self._bounds.message_bytes:
            raise Hangup(TOO_BIG, f"a message is over {self._bounds.message_bytes} bytes")
        if not self._tally.take(self.used_at):
            raise Hangup(POLICY, "too many messages")

    async def send(self, message: Message) -> None:
        """Send a message, or close because the client does not read; nothing after the close."""
        if self.over.done():
            return
        if message["type"] == "websocket.close":
            await self.close(message.get("code", 1000), message.get("reason", ""))
            return
        try:
            async with asyncio.timeout(self._bounds.slow):
                await self._send(message)
        except TimeoutError:
            await self.close(LATER, "you read too slowly")
        self.used_at = self._now()

    async def close(self, code: int, why: str = "") -> None:
        """Close the socket, once."""
        if self.over.done():
            return
        self.over.set_result(None)
        if code != NORMAL:
            labelled(TRANSPORT_ERRORS, self._kind, str(code)).inc()
        with suppress(OSError, RuntimeError, TimeoutError):  # it may be closed already
            async with asyncio.timeout(CLOSING):
                await self._send({"type": "websocket.close", "code": code, "reason": why})

    async def hold(self, talk: Callable[["Line"], Coroutine[Any, Any, None]]) -> None:
        """Run a conversation until it or the socket ends."""
        talking = asyncio.create_task(talk(self))
        labelled(TRANSPORT_CONNECTIONS, self._kind).inc()
        try:
            await asyncio.wait((talking, self.over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            labelled(TRANSPORT_CONNECTIONS, self._kind).dec()
            talking.cancel()
            (ended,) = await asyncio.gather(talking, return_exceptions=True)
        if isinstance(ended, Hangup):
            await self.close(ended.code, ended.why)
        elif isinstance(ended, Exception) and not isinstance(ended, OSError):
            log.error("socket_failed", path=self.scope["path"], exc_info=ended)
            await self.close(FAILED, "this failed on our side")
