"""Throws mutated messages at every socket and looks whether it still answers."""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress

import grpc
import msgpack
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

from benchmarks.harness import save
from cartrita.clock import new_id, new_random
from serve_apps.gateway.sockets import line, session, socket_io, websocket
from serve_apps.gateway.sockets.bounds import Bounds
from serve_apps.rpc import server, stream
from serve_apps.rpc.schema import PACKAGE, message
from serve_apps.rpc.values import pack
from tests.support.rpc import rpc_gateway
from tests.support.sockets import calling, token_of
from tests.support.troupe import Listener, Speaker

BATCH = 40
"""Messages between two looks at whether the server answers."""

SLOWEST = 1.0
"""Seconds of CPU that a batch and its answer may take of this process."""

LOOSE = Bounds(
    connections=10_000, connections_each=10_000, rate=1e9, burst=10**9, subscriptions=10_000
)
WATCHED = (line, session, socket_io, websocket, server, stream)
TASK = new_id()
ECHO = {"taskType": "system.echo", "parameters": {"payload": [1, "é", None, {"a": 0.5}]}}
COMMANDS = [
    {"op": "submit", "id": "1", "task": ECHO, "wait": True},
    {"op": "submit", "id": 2, "task": ECHO, "subscribe": True, "idempotencyKey": "k"},
    {"op": "subscribe", "id": "3", "taskId": TASK, "after": "0000000000000001"},
    {"op": "unsubscribe", "taskId": TASK},
    {"op": "cancel", "taskId": TASK},
    {"op": "get", "taskId": TASK},
    {"op": "stream", "taskId": TASK, "piece": "data", "sequence": 1, "data": "eA=="},
    {"op": "auth", "token": "a.b.c"},
    {"op": "ping"},
]
MESSAGES = [
    {"messageType": "TASK_REQUEST", "payload": ECHO},
    {"messageType": "TASK_REQUEST", "payload": {**ECHO, "preferences": {"streaming": True}}},
    {"messageType": "TASK_CANCEL", "payload": {"taskId": TASK}},
    {"messageType": "STREAM_START", "payload": {"streamId": TASK, "contentType": "a/b"}},
    {"messageType": "STREAM_DATA", "payload": {"streamId": TASK, "sequence": 1, "data": "eA=="}},
    {"messageType": "STREAM_END", "payload": {"streamId": TASK, "status": "FAILED"}},
    {"messageType": "HEARTBEAT", "payload": {}, "context": {"timeoutMs": 5}},
    {"messageType": "SYSTEM_COMMAND", "payload": {"type": "RESTART"}},
]
ODD = [
    b"\x00",
    b"\xff",
    b"NaN",
    b"1e999",
    b"-9223372036854775809",
    b'"',
    b"{",
    b"[" * 300,
    b"\\ud800",
]


class Failures:
    """Stands in for a module's log, and keeps what the server calls a failure of its own."""

    def __init__(self):
        self.seen = []

    def exception(self, event, **facts):
        self.seen.append((event, facts, sys.exc_info()[1]))

    error = exception


class Fuzz:
    """One run.

    Attributes:
        thrown: Messages by transport.
    """

    def __init__(self, seed):
        self.random, self.thrown, self.failures = new_random(seed), Counter(), Failures()

    @contextmanager
    def watching(self):
        """Note what the server calls a failure of its own."""
        logs = {module: module.log for module in WATCHED}
        for module in WATCHED:
            module.log = self.failures
        try:
            yield
        finally:
            for module, log in logs.items():
                module.log = log

    def mutated(self, body: bytes) -> bytes:
        random, body = self.random, bytearray(body)
        for _ in range(random.choice((0, 1, 1, 2, 3, 8))):
            place = random.randrange(len(body) + 1)
            match random.randrange(6):
                case 0 if place < len(body):
                    body[place] ^= 1 << random.randrange(8)
                case 1:
                    body[place:place] = random.choice(ODD)
                case 2:
                    del body[place : place + random.randint(1, 8)]
                case 3:
                    body[place:place] = body[: random.randint(0, 40)]
                case 4:
                    del body[place:]
                case 5 if place < len(body):
                    body[place] = random.randrange(256)
        return bytes(body)

    async def watched(self, transport, count, attempt):
        """Throw a batch after another, until there were `count` messages."""
        while self.thrown[transport] < count:
            began = time.process_time()
            async with asyncio.timeout(60):
                await attempt(transport)
            took = time.process_time() - began
            assert took < SLOWEST, f"{transport}: a batch took {took:.2f} s"
            assert not self.failures.seen, self.failures.seen[:3]

    async def throw(self, transport, send, bodies):
        with suppress(ConnectionClosed):
            for _ in range(BATCH):
                await send(self.mutated(self.random.choice(bodies)))
                self.thrown[transport] += 1  # what a closed socket takes no more is not thrown


class Target:
    """What is thrown at."""

    def __init__(self, fuzz, api, port, channel, who):
        self.fuzz, self.api, self.port, self.channel, self.who = fuzz, api, port, channel, who

    async def by_websocket(self, transport):
        packed = transport == "messagepack"
        bodies = [msgpack.packb(c) if packed else json.dumps(c).encode() for c in COMMANDS]
        async with calling(self.port, self.who, close_timeout=0.1) as caller:
            drain = asyncio.create_task(_drained(caller.socket))
            await self.fuzz.throw(
                transport, lambda b: caller.socket.send(b if packed else _text(b)), bodies
            )
            drain.cancel()
        async with calling(self.port, self.who) as caller:
            assert (await caller.ask("ping"))["ok"]

    async def by_socket_io(self, transport):
        url = f"ws://127.0.0.1:{self.port}/socket.io/?EIO=4&transport=websocket"
        bodies = [b"42" + json.dumps(["mcp:message", m]).encode() for m in MESSAGES]
        bodies += [b'42["mcp:subscribe",{"taskId":"%s"}]' % TASK.encode(), b"2", b"41", b"40{}"]
        bodies.append(b'451-["mcp:message",{"_placeholder":true,"num":0}]')
        async with connect(url, close_timeout=0.1) as socket:
            with suppress(ConnectionClosed):
                await socket.recv()
                await socket.send("40" + json.dumps({"token": token_of(self.who)}))
                await socket.recv()
            drain = asyncio.create_task(_drained(socket))
            raw = self.fuzz.random.random() < 0.1
            await self.fuzz.throw(transport, lambda b: socket.send(b if raw else _text(b)), bodies)
            drain.cancel()
        asked = {"EIO": "4", "transport": "polling"}
        opened = await self.api.http.get("/socket.io/", params=asked)
        assert opened.status_code == 200

    async def by_grpc(self, transport):
        task = message("TaskRequest")(task_type="system.echo", parameters=pack({"payload": 1}))
        said = message("MCPMessage")(message_type=1, id="1")
        said.payload.Pack(task)
        bodies = [
            message("ProcessTaskRequest")(task=task).SerializeToString(),
            message("RouteMessageRequest")(message=said).SerializeToString(),
        ]
        metadata = (("authorization", self.who["Authorization"]),)
        for service, name, kind in RPCS:
            call = getattr(self.channel, kind)(f"/{PACKAGE}.{service}/{name}")
            thrown = [self.fuzz.mutated(self.fuzz.random.choice(bodies)) for _ in range(10)]
            self.fuzz.thrown[transport] += len(thrown)
            if kind == "unary_unary":
                calls = [call(body, metadata=metadata, timeout=20) for body in thrown]
                told = await asyncio.gather(*calls, return_exceptions=True)
                codes = {_code(one) for one in told if isinstance(one, grpc.aio.AioRpcError)}
            else:
                codes = await _streamed(call(iter(thrown), metadata=metadata, timeout=20))
            assert not codes & BROKEN, codes


async def run(seed: int, count: int) -> Counter:
    """Throw `count` messages, a quarter by each transport.

    Raises:
        AssertionError: The server failed, or took too long.
    """
    fuzz, each = Fuzz(seed), count // 4
    with fuzz.watching():
        async with rpc_gateway(LOOSE, agents=(Speaker, Listener)) as (api, port, channel):
            who = await api.user("alice@example.org")
            target = Target(fuzz, api, port, channel, who)
            await fuzz.watched("websocket", each, target.by_websocket)
            await fuzz.watched("messagepack", each, target.by_websocket)
            await fuzz.watched("socket.io", each, target.by_socket_io)
            await fuzz.watched("grpc", each, target.by_grpc)
    return fuzz.thrown


RPCS = (
    ("MCPSupervisorService", "ProcessTask", "unary_unary"),
    ("MCPOrchestratorService", "RouteMessage", "unary_unary"),
    ("MCPOrchestratorService", "StreamMessages", "stream_stream"),
    ("MCPSupervisorService", "StreamTask", "stream_stream"),
)
BROKEN = {
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
}


async def _streamed(call):
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as error:
        # The client's own word for writing on when the server has ended the call.
        return set() if "from Core" in str(error.details()) else {_code(error)}
    return set()


def _code(error):
    """Return what a call failed with; that its task's deadline had passed is an answer."""
    late = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    ours = late and error.details() != "Deadline Exceeded"  # which is what the client itself says
    return grpc.StatusCode.INVALID_ARGUMENT if ours else error.code()


async def _drained(socket):
    with suppress(ConnectionClosed, InvalidMessage):
        while True:
            await socket.recv()


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def main(argv: list[str]) -> None:
    """Throw many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(argv)
    began = time.monotonic()
    thrown = asyncio.run(run(asked.seed, asked.messages))
    sys.stdout.write(f"{dict(thrown)}: 0 failures, 0 hangs\n")
    told = {"seed": asked.seed, "seconds": round(time.monotonic() - began), "failures": 0}
    save("fuzz_sockets", {"messages": sum(thrown.values()), "thrown": thrown, **told})


if __name__ == "__main__":
    main(sys.argv[1:])
