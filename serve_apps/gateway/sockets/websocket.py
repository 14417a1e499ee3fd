"""The WebSocket `/v3/ws`."""

import asyncio
from functools import partial
from typing import Any

from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from cartrita.auth.claims import Claims
from cartrita.clock import iso
from cartrita.errors import (
    AuthenticationFailed,
    CartritaError,
    InternalFailure,
    InvalidMessage,
)
from cartrita.telemetry.log import about, get_logger, traceparent
from cartrita.telemetry.trace import continue_trace
from serve_apps.asgi.messages import credential
from serve_apps.gateway.gate import Gate
from serve_apps.gateway.sockets import commands as c
from serve_apps.gateway.sockets.bounds import LATER, NORMAL, POLICY, Bounds, Census, Hangup
from serve_apps.gateway.sockets.envelopes import packed, refusal, written
from serve_apps.gateway.sockets.line import Line
from serve_apps.gateway.sockets.session import Session

log = get_logger(__name__)

PROTOCOL, BEARER = "cartrita.v3", "bearer."
"""Subprotocols: ours, and what a token begins with that a page sends, which sets no headers."""


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one socket."""
    app = scope["app"]
    bounds: Bounds = app.bounds
    headers = dict(scope["headers"])
    await receive()  # that it connects
    if not bounds.welcomes(headers):
        await send({"type": "websocket.close", "code": POLICY})  # before the accept: 403
        return
    await Line(scope, receive, send, bounds).hold(Conversation(app.gate, bounds, app.census).run)


class Conversation:
    """Carries out what a client says, and tells it what it asked for."""

    _session: Session
    _claims: Claims
    _token: str

    def __init__(self, gate: Gate, bounds: Bounds, census: Census) -> None:
        self._gate, self._bounds, self._census = gate, bounds, census

    async def run(self, line: Line) -> None:
        """Talk until the client leaves, or until it must."""
        self._line = line
        offered = line.scope.get("subprotocols", [])
        protocol = PROTOCOL if PROTOCOL in offered else None
        await line.send({"type": "websocket.accept", "subprotocol": protocol})
        with self._census.seat():
            await self._welcome(_token_of(line.scope))
            user = self._claims.user
            self._census.enter(user)
            self._session = Session(self._gate.tasks, self._claims.principal(), self._bounds)
            watching = asyncio.create_task(self._watch())
            try:
                await self._listen()
            finally:
                watching.cancel()
                await self._session.close()
                self._census.leave(user)

    async def _welcome(self, token: str | None) -> None:
        """Find out who it is, from the handshake or the first message."""
        if token is not None:
            try:
                await self._admit(token)
            except CartritaError as error:
                await self._say({"op": "auth", "ok": False, "error": refusal(error)})
                raise _unknown(error) from None
            return
        try:
            async with asyncio.timeout(self._bounds.auth_timeout):
                frame = await self._first()
        except TimeoutError:
            raise Hangup(POLICY, "authenticate within a few seconds") from None
        try:
            asked = c.command(frame)
            if not isinstance(asked, c.Auth):
                raise AuthenticationFailed("Say who you are first: {op: 'auth', token}.")
            await self._admit(asked.token)
        except CartritaError as error:
            await self._answer(frame, error=error)
            raise _unknown(error) from None
        await self._answer(frame, self._standing())

    async def _first(self) -> c.Frame:
        message = await self._message()
        if message is None:
            raise Hangup(NORMAL, "")
        try:
            return c.read(message)
        except InvalidMessage as error:
            await self._say({"ok": False, "error": refusal(error)})
            raise _unknown(error) from None

    async def _admit(self, token: str) -> None:
        self._claims, self._token = await self._gate.identity.admit(token), token

    def _standing(self) -> dict[str, Any]:
        return {"user": self._claims.user, "expiresAt": iso(self._claims.expires_at)}

    async def _watch(self) -> None:
        """Close the socket when its token is good no more, or when nothing happens."""
        while not self._line.over.done():
            await asyncio.sleep(self._bounds.check)
            if not self._claims.alive(self._gate.clock.now()) or await self._revoked():
                await self._line.close(POLICY, "the token is good no more")
            elif self._line.idle > self._bounds.idle and not self._session.at_work:
                await self._line.close(NORMAL, "idle")

    async def _revoked(self) -> bool:
        try:
            await self._gate.identity.admit(self._token)
        except AuthenticationFailed:
            return True
        except CartritaError:
            pass  # it cannot be found out now
        return False

    async def _message(self) -> str | bytes | None:
        """Return the next message; None when the client has left."""
        message = await self._line.receive()
        if message["type"] == "websocket.disconnect":
            return None
        data, text = message.get("bytes"), message.get("text")
        return data if data is not None else text or ""

    async def _listen(self) -> None:
        while (message := await self._message()) is not None:
            try:
                frame = c.read(message)
            except InvalidMessage as error:
                told = {"id": None, "ok": False, "error": refusal(error)}
                await self._say(told, as_packed=isinstance(message, bytes))
                continue
            try:
                asked = c.command(frame)
                self._session.start(partial(self._carry_out, frame, asked))
            except CartritaError as error:
                await self._answer(frame, error=error)

    async def _carry_out(self, frame: c.Frame, asked: c.Command) -> None:
        about(continue_trace(asked.traceparent if isinstance(asked, c.Submit) else None))
        try:
            await self._do(frame, asked)
        except CartritaError as error:
            await self._answer(frame, error=error)
        except Hangup as hangup:
            await self._line.close(hangup.code, hangup.why)
        except OSError:
            pass  # the client has left
        except Exception:
            log.exception("command_failed", op=frame.op)
            await self._answer(frame, error=InternalFailure("The command failed on our side."))

    async def _do(self, frame: c.Frame, asked: c.Command) -> None:
        if not isinstance(asked, c.UNCOUNTED):
            await self._gate.limiter.take(self._claims.user)
        match asked:
            case c.Submit():
                await self._submit(frame, asked)
            case c.Subscribe():
                await self._subscribe(frame, str(asked.task_id), asked.after)
            case c.Auth():
                await self._again(frame, asked.token)
            case _:
                await self._answer(frame, await self._simple(frame, asked))

    async def _simple(self, frame: c.Frame, asked: c.Command) -> dict[str, Any]:
        if isinstance(asked, c.Ping | c.Submit | c.Subscribe | c.Auth):
            return {"at": iso(self._gate.clock.now())}
        task_id, session = str(asked.task_id), self._session
        match asked:
            case c.Cancel():
                done = await session.tasks.cancel(task_id, session.who)
                return {"taskId": task_id, "cancelled": done}
            case c.Get():
                return await session.tasks.get(task_id, session.who)
            case c.Unsubscribe():
                return {"taskId": task_id, "unsubscribed": await session.unsubscribe(task_id)}
            case c.Stream():
                held = c.piece_of(asked, frame.data)
                await session.feed(task_id, asked.piece, asked.sequence, held)
                return {"taskId": task_id, "sequence": asked.sequence}

    async def _again(self, frame: c.Frame, token: str) -> None:
        """Take another token of the same user."""
        claims = await self._gate.identity.admit(token)
        if claims.user != self._claims.user:
            raise AuthenticationFailed("Another user needs another socket.")
        self._claims, self._token = claims, token
        self._session.who = claims.principal()
        await self._answer(frame, self._standing())

    async def _submit(self, frame: c.Frame, asked: c.Submit) -> None:
        session = self._session
        answer = await session.tasks.submit(
            asked.task,
            session.who,
            wait=asked.wait and not asked.subscribe,
            idempotency_key=asked.idempotency_key,
            traceparent=traceparent(),
        )
        if asked.subscribe:
            await self._subscribe(frame, answer["taskId"], None, answer)
        else:
            await self._answer(frame, answer)

    async def _subscribe(
        self, frame: c.Frame, task_id: str, after: str | None, answer: dict[str, Any] | None = None
    ) -> None:
        told = await self._session.open(task_id, after)
        result = answer or {"taskId": task_id, "done": told is None}
        try:
            await self._answer(frame, result)
        except BaseException:
            if told:
                await told.close()
            raise
        if told:
            tell = partial(self._say, as_packed=frame.packed)
            self._session.follow(task_id, told, tell, partial(self._lost, frame))

    async def _lost(self, frame: c.Frame, task_id: str, error: CartritaError) -> None:
        """Say that a task's events break off; the client may go on by cursor."""
        told = {"id": frame.id, "op": frame.op, "taskId": task_id, "ok": False}
        await self._say({**told, "error": refusal(error)}, as_packed=frame.packed)

    async def _answer(
        self,
        frame: c.Frame,
        result: dict[str, Any] | None = None,
        *,
        error: CartritaError | None = None,
    ) -> None:
        told: dict[str, Any] = {"id": frame.id, "op": frame.op[:50], "ok": error is None}
        told |= {"error": refusal(error)} if error else {"result": result}
        await self._say(told, as_packed=frame.packed)

    async def _say(self, message: dict[str, Any], *, as_packed: bool = False) -> None:
        held = {"bytes": packed(message)} if as_packed else {"text": written(message)}
        await self._line.send({"type": "websocket.send", **held})


def _unknown(error: CartritaError) -> Hangup:
    """Return how a socket ends whose client we do not know, or cannot know now."""
    if error.retryable:
        return Hangup(LATER, "who you are cannot be found out now")
    return Hangup(POLICY, "authentication failed")


def _token_of(scope: Scope) -> str | None:
    """Return the token of a handshake: from its header, or among the subprotocols."""
    headers = dict(scope["headers"])
    told = (headers.get(name, b"").decode("latin-1") for name in (b"authorization", b"x-api-key"))
    if token := credential(*told):
        return token
    for offered in scope.get("subprotocols", []):
        if offered.startswith(BEARER):
            return str(offered[len(BEARER) :])
    return None


class _Endpoint:
    """An ASGI application, as Starlette takes it for a route's end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await websocket(scope, receive, send)


ROUTES = [WebSocketRoute("/v3/ws", _Endpoint())]
