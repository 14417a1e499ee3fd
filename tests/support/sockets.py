"""Gateways behind real sockets, and clients of them."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import msgpack
import socketio
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from cartrita.clock import new_id
from tests.support.gateway import Api, running_gateway


@asynccontextmanager
async def listening(app) -> AsyncIterator[int]:
    """Serve an application that runs already, in this loop, and give its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None
        running = asyncio.create_task(server.serve([listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = server.force_exit = True
            await asyncio.wait_for(running, 20)


@asynccontextmanager
async def socket_gateway(limits=None, **options) -> AsyncIterator[tuple[Api, int]]:
    """Run a gateway and give its API and its port."""
    async with running_gateway(limits, **options) as api, listening(api.app) as port:
        yield api, port


@dataclass
class Caller:
    """A client of `/v3/ws`."""

    socket: ClientConnection
    packed: bool = False
    events: list = field(default_factory=list)

    async def say(self, op, **fields):
        ref = fields.pop("id", None) or new_id()
        message = {"op": op, "id": ref, **fields}
        await self.socket.send(msgpack.packb(message) if self.packed else json.dumps(message))
        return ref

    async def next(self):
        message = await asyncio.wait_for(self.socket.recv(), 10)
        return msgpack.unpackb(message) if isinstance(message, bytes) else json.loads(message)

    async def ask(self, op, **fields):
        """Say something and return the answer; events that come before it are kept."""
        ref = await self.say(op, **fields)
        while "messageType" in (told := await self.next()) or told.get("id") != ref:
            self.events.append(told)
        return told

    async def envelope(self):
        """Return the next event's envelope."""
        while "messageType" not in (told := await self.next()):
            pass
        return told

    async def to_the_end(self):
        """Return the envelopes that come, up to a task's end."""
        found, self.events = self.events, []
        while not found or found[-1]["messageType"] != "TASK_RESPONSE":
            found.append(await self.envelope())
        return found

    async def closed(self):
        """Wait until the socket is closed and return the code and why."""
        async with asyncio.timeout(10):
            with suppress(ConnectionClosed):
                while True:
                    await self.socket.recv()
        await self.socket.wait_closed()
        return self.socket.close_code, self.socket.close_reason


def token_of(who):
    return who["Authorization"].removeprefix("Bearer ")


@asynccontextmanager
async def calling(port, who=None, *, packed=False, **options) -> AsyncIterator[Caller]:
    """Open `/v3/ws`."""
    options.setdefault("additional_headers", who or {})
    async with connect(f"ws://127.0.0.1:{port}/v3/ws", **options) as opened:
        yield Caller(opened, packed)


class Talker:
    """A client of Socket.IO, which notes what it is told."""

    def __init__(self, names=("mcp:response", "mcp:error", "mcp:event", "disconnect")):
        self.client = socketio.AsyncClient(reconnection=False)
        self.told: asyncio.Queue = asyncio.Queue()
        for name in names:
            self.client.on(name, partial(self._note, name))

    def _note(self, name, told=None):
        self.told.put_nowait((name, told))

    async def next(self, *names):
        """Return the next event of one of these names; others are passed over."""
        async with asyncio.timeout(10):
            while True:
                name, told = await self.told.get()
                if name in names:
                    return told

    async def following(self, number):
        """Return so many events, in their order."""
        async with asyncio.timeout(10):
            return [await self.told.get() for _ in range(number)]

    async def send(self, kind, payload, **fields):
        """Send a message and return its acknowledgement."""
        message = {"messageType": kind, "payload": payload, **fields}
        return await self.client.call("mcp:message", message, timeout=10)

    async def to_the_end(self):
        found = []
        while not found or found[-1]["messageType"] != "TASK_RESPONSE":
            found.append(await self.next("mcp:event"))
        return found


@asynccontextmanager
async def talking(port, who=None, *, transports=("websocket",)) -> AsyncIterator[Talker]:
    """Open Socket.IO."""
    talker = Talker()
    auth = {"token": token_of(who)} if who else None
    await talker.client.connect(f"http://127.0.0.1:{port}", auth=auth, transports=[*transports])
    try:
        yield talker
    finally:
        await talker.client.shutdown()


@asynccontextmanager
async def hearing(port, names, *, query="", headers=None, **options) -> AsyncIterator[Talker]:
    """Open Socket.IO as somebody who wants to be told events of these names.

    Args:
        query: Of the handshake.
        headers: That our edge would add.
        options: Of the connection.
    """
    talker = Talker(names)
    options.setdefault("transports", ["websocket"])
    url = f"http://127.0.0.1:{port}?{query}"
    try:
        await talker.client.connect(url, headers=headers or {}, **options)
        yield talker
    finally:
        await _gone(talker.client)


async def turned_away(port, *, namespace="/", query="", headers=None, auth=None):
    """Return what a client is told that may not come in."""
    client, told = socketio.AsyncClient(reconnection=False), asyncio.Queue()
    client.on("connect_error", told.put_nowait, namespace=namespace)
    url = f"http://127.0.0.1:{port}?{query}"
    with suppress(socketio.exceptions.ConnectionError):
        await client.connect(
            url, headers or {}, auth, transports=["websocket"], namespaces=[namespace]
        )
    await _gone(client)
    return (await asyncio.wait_for(told.get(), 10))["message"]


async def _gone(client) -> None:
    """End a client, also one that was never let in."""
    await client.shutdown()
    if client.eio.http is not None:
        await client.eio.http.close()
