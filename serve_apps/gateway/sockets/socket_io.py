"""Socket.IO at `/socket.io`: the older system's messages, and events by cursor."""

import asyncio
import json as standard_json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import socketio
from engineio.packet import NOOP, Packet
from pydantic_core import from_json
from socketio.exceptions import ConnectionRefusedError as Refused
from starlette.types import Message, Receive, Scope, Send

from cartrita.auth.claims import Claims
from cartrita.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    CartritaError,
    InternalFailure,
    InvalidMessage,
    QueueFull,
    RateLimitExceeded,
)
from cartrita.protocol.envelope import Envelope, MessageType
from cartrita.telemetry.log import get_logger
from serve_apps.asgi.messages import LONGEST_TOKEN
from serve_apps.asgi.strict import parse
from serve_apps.gateway.gate import Gate
from serve_apps.gateway.sockets.bounds import POLICY, Bounds, Census, Hangup, Tally
from serve_apps.gateway.sockets.commands import Subscribe, Unsubscribe, plain
from serve_apps.gateway.sockets.envelopes import refusal, written
from serve_apps.gateway.sockets.line import Line
from serve_apps.gateway.sockets.messages import Messages, read_envelope
from serve_apps.gateway.sockets.older import OlderSockets, stranger, token_of
from serve_apps.gateway.sockets.session import Session, Tell

log = get_logger(__name__)

PATH = "/socket.io"

AHEAD = 64
"""Packets that may wait for a client before whoever has more for it waits, too."""

PAUSE = 0.02
"""Seconds between two looks at whether a client has read."""

PING_INTERVAL, PING_TIMEOUT = 25, 20

_QUIET = logging.getLogger("cartrita.socket_io")
_QUIET.setLevel(logging.CRITICAL + 1)  # what clients do wrong they are told; our failures we log

Order = TypeVar("Order", Subscribe, Unsubscribe)


class Json:
    """JSON as we read and write it, in the shape of the standard module."""

    JSONDecodeError = standard_json.JSONDecodeError

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        """Write; NaN becomes null."""
        return written(value)

    @staticmethod
    def loads(text: str, **_: Any) -> Any:
        """Read; NaN is an error."""
        return from_json(text, allow_inf_nan=False)


class Person:
    """Who is at the other end, from the connect to the disconnect."""

    def __init__(self, gate: Gate, claims: Claims, token: str, bounds: Bounds) -> None:
        self.claims, self.token = claims, token
        self.session = Session(gate.tasks, claims.principal(), bounds)
        self.messages = Messages(gate, self.session)
        self.tally = Tally(bounds.rate, bounds.burst, asyncio.get_running_loop().time())
        self.busy = 0


class SocketIo:
    """The server of one gateway.

    Args:
        gate: Returns the open gate.
        older: Hears the events of an older API.
    """

    def __init__(
        self,
        gate: Callable[[], Gate],
        bounds: Bounds,
        census: Census,
        older: OlderSockets | None = None,
    ) -> None:
        redis_url = bounds.redis_url
        self._gate, self._bounds, self._census = gate, bounds, census
        self._older = older
        self._people: dict[str, Person] = {}
        self.server = socketio.AsyncServer(
            async_mode="asgi",
            client_manager=socketio.AsyncRedisManager(redis_url) if redis_url else None,
            json=Json,
            cors_allowed_origins=[],  # the guard around us answers for that
            max_http_buffer_size=bounds.message_bytes,
            transports=["websocket"] if redis_url else ["polling", "websocket"],
            ping_interval=PING_INTERVAL,
            ping_timeout=PING_TIMEOUT,
            logger=_QUIET,
            engineio_logger=_QUIET,
        )
        self._app = socketio.ASGIApp(self.server, socketio_path=PATH)
        handlers: dict[str, Callable[..., Awaitable[Any]]] = {
            "connect": self._connect,
            "disconnect": self._disconnect,
            "mcp:message": partial(self._on, self._message),
            "mcp:subscribe": partial(self._on, self._subscribe),
            "mcp:unsubscribe": partial(self._on, self._unsubscribe),
        }
        for event in older.events if older else ():
            handlers[event] = partial(self._on, partial(self._hear, event))
        for name, handler in handlers.items():
            self.server.on(name, _plain(handler))
        for name, why in older.closed.items() if older else ():
            self.server.on("connect", _plain(partial(_closed, why)), namespace=name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a poll or a WebSocket."""
        if not self._bounds.welcomes(dict(scope["headers"])):
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": POLICY})
                return
            raise AuthorizationFailed("Pages of this origin may not call: see `cors_origins`.")
        if scope["type"] == "websocket":
            await Line(scope, receive, send, self._bounds).hold(self._talk)
        else:
            await self._app(scope, receive, send)

    async def _talk(self, line: Line) -> None:
        async def receive() -> Message:
            """Pass on what Engine.IO can read: it does not clean up after what it cannot."""
            message = await line.receive()
            packet = message.get("bytes") or message.get("text")
            if message["type"] == "websocket.receive" and not _is_packet(packet):
                await line.close(POLICY, "that is no packet of Engine.IO's")
                return {"type": "websocket.disconnect", "code": POLICY}
            return message

        with self._census.seat():
            await self._app(line.scope, receive, line.send)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Look after the clients for as long as the gate is open."""
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            await self._close()

    async def _watch(self) -> None:
        """Close those whose token is good no more, and those that never said who they are."""
        waiting: dict[str, float] = {}
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(min(self._bounds.check, self._bounds.auth_timeout))
            for sid, person in list(self._people.items()):
                if not await self._good(person):
                    await self.server.disconnect(sid)
            known = {self._engine_id(sid) for sid in self._people}
            strangers = [sid for sid in list(self.server.eio.sockets) if sid not in known]
            waiting = {sid: waiting.get(sid, clock()) for sid in strangers}
            for sid, since in waiting.items():
                if clock() - since >= self._bounds.auth_timeout:
                    await self._drop(sid)

    async def _drop(self, engine_id: str) -> None:
        engine = self.server.eio.sockets.pop(engine_id, None)
        if engine is not None:
            await engine.close(wait=False)  # who does not poll does not read that it is over

    async def _close(self) -> None:
        for sid in list(self._people):
            await self.server.disconnect(sid)
        await self.server.shutdown()
        if listening := getattr(self.server.manager, "thread", None):
            listening.cancel()

    async def _good(self, person: Person) -> bool:
        if not person.token:
            return True
        if not person.claims.alive(self._gate().clock.now()):
            return False
        try:
            await self._gate().identity.admit(person.token)
        except AuthenticationFailed:
            return False
        except CartritaError:
            pass  # it cannot be found out now
        return True

    def _engine_id(self, sid: str) -> str | None:
        found: str | None = self.server.manager.eio_sid_from_sid(sid, "/")
        return found

    async def _connect(self, sid: str, environ: Any, auth: Any = None) -> None:
        older = self._older if self._older and self._older.lenient(environ) else None
        token = token_of(environ if older else None, auth)
        try:
            if older and token is None:
                token, claims = "", stranger(environ)
            else:
                token = (token or "").removeprefix("Bearer ")
                claims = await self._admitted(token)
            self._census.enter(claims.user)
        except AuthenticationFailed:
            raise Refused(older.refused if older else "Authentication failed") from None
        except CartritaError as error:
            raise Refused(error.message, refusal(error)) from None
        except Hangup as hangup:
            raise Refused(hangup.why) from None
        self._people[sid] = Person(self._gate(), claims, token, self._bounds)
        if older:
            self.server.start_background_task(older.welcome, sid, partial(self._tell, sid))

    async def _admitted(self, token: str) -> Claims:
        if not 0 < len(token) <= LONGEST_TOKEN:
            raise AuthenticationFailed
        return await self._gate().identity.admit(token)

    async def _disconnect(self, sid: str, _reason: Any = None) -> None:
        person = self._people.pop(sid, None)
        if person:
            self._census.leave(person.claims.user)
            await person.session.close()
            engine = self.server.eio.sockets.get(self._engine_id(sid))
            if engine is not None:  # let a poll that waits end now
                engine.queue.put_nowait(Packet(NOOP))

    async def _on(
        self,
        verb: Callable[[str, Person, Any], Awaitable[Any]],
        sid: str,
        data: Any = None,
        *_: Any,
    ) -> Any:
        """Carry out what an event asks for; the answer is its acknowledgement, too."""
        person = self._people.get(sid)
        if person is None:
            return None
        person.busy += 1
        try:
            return await self._answered(verb, sid, person, data)
        finally:
            person.busy -= 1

    async def _answered(
        self,
        verb: Callable[[str, Person, Any], Awaitable[Any]],
        sid: str,
        person: Person,
        data: Any,
    ) -> Any:
        try:
            self._count(person)
            return await verb(sid, person, data)
        except CartritaError as error:
            return await self._refuse(sid, error, data)
        except Hangup:
            return await self._too_many(sid, data)
        except OSError:
            pass  # the client has left
        except Exception:
            log.exception("message_failed")
            return await self._refuse(sid, InternalFailure("The message failed here."), data)
        return None

    def _count(self, person: Person) -> None:
        if not person.tally.take(asyncio.get_running_loop().time()):
            raise Hangup(POLICY, "too many messages")
        if person.busy > self._bounds.commands:
            raise QueueFull("Too many messages are under way: wait for one.", retry_after=1)

    async def _too_many(self, sid: str, data: Any) -> Any:
        answer = await self._refuse(sid, RateLimitExceeded("Too many messages."), data)
        await self.server.disconnect(sid)
        return answer

    async def _refuse(self, sid: str, error: CartritaError, data: Any) -> dict[str, Any]:
        about = refusal(error)
        told = {"error": about.pop("message"), **about}
        ref = data.get("id") if isinstance(data, dict) else None
        if isinstance(ref, str) and len(ref) <= 128:  # noqa: PLR2004 - a text worth repeating
            told["replyTo"] = ref
        await self._tell(sid, "mcp:error", told)
        return told

    async def _message(self, sid: str, person: Person, data: Any) -> Any:
        envelope, held = read_envelope(data)
        if envelope.message_type is MessageType.TASK_REQUEST and _streams(envelope):
            return await self._streamed(sid, person, envelope)
        answer = await person.messages.answer(envelope, held)
        await self._tell(sid, "mcp:response", answer)
        return answer

    async def _streamed(self, sid: str, person: Person, envelope: Envelope) -> Any:
        """Submit a task and show its events; its response follows the last of them."""
        answer = await person.messages.submit(envelope, wait=False)

        async def tell(event: dict[str, Any]) -> None:
            await self._tell(sid, "mcp:event", event)
            if event["messageType"] == MessageType.TASK_RESPONSE:
                response = event["payload"]["data"]
                told = person.messages.wrap(envelope, MessageType.TASK_RESPONSE, response)
                await self._tell(sid, "mcp:response", told)

        await self._follow(sid, person, answer["taskId"], None, tell)
        return answer

    async def _hear(self, event: str, sid: str, person: Person, data: Any) -> None:
        assert self._older is not None
        await self._older.hear(event, data, person.claims, partial(self._tell, sid))

    async def _subscribe(self, sid: str, person: Person, data: Any) -> Any:
        asked = _asked(Subscribe, "subscribe", data)
        await self._gate().limiter.take(person.claims.user)
        task_id, tell = str(asked.task_id), partial(self._tell, sid, "mcp:event")
        followed = await self._follow(sid, person, task_id, asked.after, tell)
        return {"taskId": task_id, "done": not followed}

    async def _follow(
        self, sid: str, person: Person, task_id: str, after: str | None, tell: Tell
    ) -> bool:
        told = await person.session.open(task_id, after)
        if told is not None:
            person.session.follow(task_id, told, tell, partial(self._lost, sid))
        return told is not None

    async def _lost(self, sid: str, task_id: str, error: CartritaError) -> None:
        about = refusal(error)
        told = {"error": about.pop("message"), **about, "taskId": task_id}
        await self._tell(sid, "mcp:error", told)

    async def _unsubscribe(self, _sid: str, person: Person, data: Any) -> Any:
        task_id = str(_asked(Unsubscribe, "unsubscribe", data).task_id)
        await self._gate().limiter.take(person.claims.user)
        return {"taskId": task_id, "unsubscribed": await person.session.unsubscribe(task_id)}

    async def _tell(self, sid: str, event: str, data: Any) -> None:
        """Send an event once the client has read most of what was sent before."""
        await self._room(sid)
        await self.server.emit(event, data, to=sid, ignore_queue=True)

    async def _room(self, sid: str) -> None:
        engine = self.server.eio.sockets.get(self._engine_id(sid))
        until = asyncio.get_running_loop().time() + self._bounds.slow
        while engine is not None and engine.queue.qsize() > AHEAD and not engine.closed:
            if asyncio.get_running_loop().time() > until:
                await self.server.disconnect(sid)
                raise ConnectionResetError("The client does not read.")
            await asyncio.sleep(PAUSE)


async def _closed(why: str, *_: Any) -> None:
    raise Refused(why)


def _plain(handler: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return a function that python-socketio sees to be asynchronous."""

    async def handle(*args: Any) -> Any:
        return await handler(*args)

    return handle


def _is_packet(packet: str | bytes | None) -> bool:
    try:
        Packet(encoded_packet=packet)
    except Exception:  # noqa: BLE001 - it has no class of its own for that
        return False
    return bool(packet)


def _streams(envelope: Envelope) -> bool:
    payload = envelope.payload
    preferences = payload.get("preferences") if isinstance(payload, dict) else None
    return isinstance(preferences, dict) and preferences.get("streaming") is True


def _asked(model: type[Order], op: str, data: Any) -> Order:
    if not isinstance(data, dict):
        raise InvalidMessage("Send an object with `taskId`.")
    return parse(model, plain({**data, "op": op}))
