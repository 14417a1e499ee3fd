"""Callers of every door, in a process of their own: so many at once, each with one task.

    python -m benchmarks.callers DOOR ADDRESS CALLERS SECONDS [--token …] [--task …] [--rate …]

Says when it is ready, waits for a line of standard input, and then says what it met, so that
whoever started it can read the CPU time of others in between (`benchmarks.measuring`).
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import uvloop

from benchmarks.arrivals import arrive
from benchmarks.load import load, told

Call = Callable[[], Awaitable[int]]
"""Has something done, and returns how many tasks that were."""

BATCH = 100
SOCKETS = 32
WARM = 1.0
PAUSE = 0.02
PATIENCE = 60.0
"""Seconds in which what a door took must have ended."""


class NotDone(Exception):
    """A task was refused, or did not complete."""


@dataclass(frozen=True)
class Order:
    """What is called, and by how many."""

    address: str
    callers: int
    seconds: float
    token: str
    task: dict[str, Any]
    rate: float
    health: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """What tells who calls."""
        return {"Authorization": f"Bearer {self.token}"}


def completed(response: dict[str, Any]) -> int:
    """Return one task, which is done.

    Raises:
        NotDone: It is not.
    """
    if response.get("status") != "COMPLETED":
        raise NotDone(str(response)[:500])
    return 1


@asynccontextmanager
async def batch(order: Order) -> AsyncIterator[list[Call]]:
    """`POST /v3/tasks/batch`, which waits for no task's end."""
    body = json.dumps({"tasks": [order.task] * BATCH}).encode()
    headers = {**order.headers, "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=order.address, headers=headers, timeout=60) as client:

        async def call() -> int:
            answer = await client.post("/v3/tasks/batch", content=body)
            accepted: int = answer.raise_for_status().json()["accepted"]
            if not accepted:
                raise NotDone(answer.text[:500])
            return accepted

        yield [call] * order.callers


class Socket:
    """A WebSocket with many tasks in flight."""

    def __init__(self, connection: Any) -> None:
        self._connection, self._numbers = connection, count()
        self._open: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.reading = asyncio.create_task(self._read())

    async def ask(self, task: dict[str, Any]) -> int:
        """Have a task run to its end."""
        number = next(self._numbers)
        answer = self._open[number] = asyncio.get_running_loop().create_future()
        message = {"op": "submit", "id": number, "task": task, "wait": True}
        await self._connection.send(json.dumps(message))
        said = await answer
        if not said["ok"]:
            raise NotDone(str(said["error"])[:500])
        return completed(said["result"])

    async def _read(self) -> None:
        try:
            async for text in self._connection:
                said = json.loads(text)
                if waiting := self._open.pop(said.get("id"), None):
                    waiting.set_result(said)
        finally:
            for waiting in self._open.values():
                waiting.set_exception(NotDone("the socket was closed"))


@asynccontextmanager
async def sockets(order: Order, number: int) -> AsyncIterator[list[Socket]]:
    """Open so many."""
    from websockets.asyncio.client import connect  # noqa: PLC0415 - 30 ms for who needs it

    url = f"{order.address.replace('http', 'ws', 1)}/v3/ws"
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(number):
            connection = connect(url, additional_headers=order.headers, compression=None)
            opened.append(Socket(await stack.enter_async_context(connection)))
        yield opened


@asynccontextmanager
async def websocket(order: Order, number: int) -> AsyncIterator[list[Call]]:
    """So many WebSockets, over which the callers are spread."""
    async with sockets(order, number) as opened:
        yield [
            lambda one=opened[place % number]: one.ask(order.task) for place in range(order.callers)
        ]


@asynccontextmanager
async def socket_io(order: Order) -> AsyncIterator[list[Call]]:
    """Socket.IO clients, each with an even part of the callers."""
    import socketio  # noqa: PLC0415 - only here

    message = {"messageType": "TASK_REQUEST", "payload": order.task}
    clients = [socketio.AsyncClient(reconnection=False) for _ in range(SOCKETS)]

    async def ask(client: Any) -> int:
        answer = await client.call("mcp:message", message, timeout=PATIENCE)
        return completed(answer.get("payload", answer))

    try:
        for client in clients:
            auth = {"token": order.token}
            await client.connect(order.address, auth=auth, transports=["websocket"])
        yield [lambda one=clients[place % SOCKETS]: ask(one) for place in range(order.callers)]
    finally:
        for client in clients:
            await client.shutdown()


@asynccontextmanager
async def grpc(order: Order) -> AsyncIterator[list[Call]]:
    """`ProcessTask`, all calls on one channel."""
    import grpc.aio as rpc  # noqa: PLC0415 - only here

    from serve_apps.rpc.schema import message, number  # noqa: PLC0415
    from serve_apps.rpc.values import pack  # noqa: PLC0415

    request = message("ProcessTaskRequest")()
    request.task.task_type = order.task["taskType"]
    request.task.parameters.CopyFrom(pack(order.task["parameters"]))
    answer, done = message("ProcessTaskResponse"), number("TaskStatus", "COMPLETED")
    metadata = (("authorization", f"Bearer {order.token}"),)
    async with rpc.insecure_channel(order.address) as channel:
        process = channel.unary_unary(
            "/cartrita.mcp.v1.MCPSupervisorService/ProcessTask",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )

        async def call() -> int:
            said = await process(request, metadata=metadata, timeout=PATIENCE)
            if said.result.status != done:
                raise NotDone(str(said)[:500])
            return 1

        yield [call] * order.callers


@asynccontextmanager
async def door(order: Order, *, wait: bool) -> AsyncIterator[list[Call]]:
    """The Door of a program that has joined the cluster, each caller a user of its own."""
    from benchmarks.driver import joined  # noqa: PLC0415 - imports Ray
    from cartrita.protocol.principal import Principal  # noqa: PLC0415
    from cartrita.protocol.task import TaskRequest  # noqa: PLC0415

    asked = TaskRequest.model_validate(order.task)
    async with joined(order.address) as tree:

        async def one(who: Principal) -> int:
            return completed(await tree.submit(asked, who, wait=True))

        async def many(who: Principal) -> int:
            await asyncio.gather(*(tree.submit(asked, who, wait=False) for _ in range(BATCH)))
            return BATCH

        people = [Principal(f"user-{place}", f"user-{place}") for place in range(order.callers)]
        ask = one if wait else many
        yield [lambda who=who: ask(who) for who in people]


@asynccontextmanager
async def client(order: Order, *, batched: bool) -> AsyncIterator[list[Call]]:
    """The Python client of a program that has joined the cluster."""
    from cartrita.client import AsyncClient  # noqa: PLC0415 - only here
    from cartrita.protocol.principal import Principal  # noqa: PLC0415

    who = Principal("user", "user")
    name, parameters = order.task["taskType"], order.task["parameters"]
    async with AsyncClient.connect_ray(who, address=order.address) as cartrita:

        async def one() -> int:
            (await cartrita.run(name, parameters)).unwrap()
            return 1

        async def many() -> int:
            tasks = [(name, parameters)] * BATCH
            async for result in cartrita.batch(tasks, ordered=False, at_once=BATCH):
                result.unwrap()
            return BATCH

        yield [many if batched else one] * order.callers


Opener = Callable[[Order], AbstractAsyncContextManager[Sequence[Call]]]
DOORS: dict[str, Opener] = {
    "batch": batch,
    "websocket": lambda order: websocket(order, 1),
    "websockets": lambda order: websocket(order, SOCKETS),
    "socket.io": socket_io,
    "grpc": grpc,
    "door": lambda order: door(order, wait=True),
    "door-batch": lambda order: door(order, wait=False),
    "client": lambda order: client(order, batched=False),
    "client-batch": lambda order: client(order, batched=True),
}
UNWAITED = ("batch", "door-batch")
"""Doors that answer before tasks have ended; their rate counts until all have."""


async def closed(calls: Sequence[Call], seconds: float, ended: Call | None = None) -> dict:
    """Let each caller ask again and again; return what was measured, and why the first failed.

    Args:
        calls: One for each caller.
        seconds: In which callers begin anew.
        ended: Waits for what was only accepted.
    """
    latencies: list[float] = []
    tasks, failed, why = 0, 0, ""

    async def caller(call: Call) -> None:
        nonlocal tasks, failed, why
        while (at := time.perf_counter()) < until:
            try:
                done = await call()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
                failed, why = failed + 1, why or f"{type(error).__name__}: {error}"
                await asyncio.sleep(PAUSE)
                continue
            tasks += done
            latencies.append(time.perf_counter() - at)

    began = time.perf_counter()
    until = began + seconds
    await asyncio.gather(*map(caller, calls))
    accepted = time.perf_counter() - began
    if ended:
        await ended()
    taken = time.perf_counter() - began
    found = {**told(latencies, failed, taken), "tasks": tasks, "rps": round(tasks / taken, 1)}
    if ended:
        found["accepted_rps"] = round(tasks / accepted, 1)
    return {**found, "why": why} if why else found


async def drained(url: str) -> int:
    """Wait until no task waits or runs in the team that echoes."""
    async with httpx.AsyncClient() as http, asyncio.timeout(PATIENCE):
        while True:
            queue = (await http.get(f"{url}/health")).json()["queues"].get("system/0")
            if queue and not queue["depth"] + queue["inFlight"]:
                return 0
            await asyncio.sleep(PAUSE)


def _tell(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def _began() -> float:
    """Wait for the sign to begin; return the CPU seconds used until then."""
    _tell({"ready": True})
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    return time.process_time()


async def by_http(name: str, order: Order) -> dict:
    """Load plain HTTP; a bare server and the API are asked alike."""
    body = json.dumps(order.task)
    await load(order.address, order.callers, WARM, order.token, body)
    used = await _began()
    if name == "http":
        found = await load(order.address, order.callers, order.seconds, order.token, body)
    else:
        found = await arrive(order.address, order.rate, order.seconds, order.token, body)
    return {**found, "caller_s": time.process_time() - used}


async def serve(name: str, order: Order) -> None:
    """Call a door and say what was met."""
    if name in ("http", "arrivals"):
        found = await by_http(name, order)
    else:
        async with DOORS[name](order) as calls:
            ended = (lambda: drained(order.health)) if name in UNWAITED else None
            await closed(calls, WARM, ended)
            used = await _began()
            found = await closed(calls, order.seconds, ended)
            found["caller_s"] = time.process_time() - used
    _tell(found)


def main() -> None:
    """Be the callers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("door", choices=["http", "arrivals", *DOORS])
    parser.add_argument("address")
    parser.add_argument("callers", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--token", default="")
    parser.add_argument("--task", type=json.loads)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--health", default="", help="Where it is told what waits.")
    said = vars(parser.parse_args())
    uvloop.run(serve(said.pop("door"), Order(**said)))


if __name__ == "__main__":
    main()
