"""The agent that AutoGen Core's runtimes have, the door before it, and callers without a door."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from autogen_core import AgentId, AgentRuntime, MessageContext, RoutedAgent, message_handler
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.peers.figures import percentiles

WHO = AgentId("worker", "default")
PATIENCE = 60.0


@dataclass
class Message:
    """A task, and its result."""

    kind: str
    payload: dict[str, Any]


class Worker(RoutedAgent):
    """Does both tasks."""

    def __init__(self) -> None:
        super().__init__("Does the tasks of the benchmark.")

    @message_handler
    async def work(self, message: Message, _context: MessageContext) -> Message:
        """Give back what came, at once or after 20 ms."""
        if message.kind == "wait":
            await asyncio.sleep(0.020)
        return message


class Task(BaseModel):
    """What a task is given."""

    payload: dict[str, Any]


async def proved(runtime: AgentRuntime) -> None:
    """Wait until the runtime reaches the agent."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            await asyncio.wait_for(runtime.send_message(Message("noop", {}), WHO), 5)
        except Exception:  # whatever a runtime says while its agent is not there yet
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.1)
        else:
            return


def door(opened: Callable[[], AbstractAsyncContextManager[AgentRuntime]]) -> FastAPI:
    """Return an application that has a runtime's agent answer."""
    runtimes: list[AgentRuntime] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with opened() as runtime:
            await proved(runtime)
            runtimes.append(runtime)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/ok")
    async def ok() -> str:
        return "ok"

    @app.post("/{kind}")
    async def run(kind: str, task: Task) -> dict[str, Any]:
        answer: Message = await runtimes[0].send_message(Message(kind, task.payload), WHO)
        return {"status": "SUCCESS", "result": answer.payload}

    return app


async def call(
    opened: Callable[[], AbstractAsyncContextManager[AgentRuntime]],
    kind: str,
    clients: int,
    seconds: float,
) -> None:
    """Print what so many callers in this process measure, as the load over HTTP does."""
    async with opened() as runtime:
        await proved(runtime)
        cpu, began = time.process_time(), time.perf_counter()
        rows, numbers = [], count()

        async def caller() -> None:
            while (now := time.perf_counter()) < began + seconds:
                payload = {"hello": f"{next(numbers):08d}"}
                answer = await runtime.send_message(Message(kind, payload), WHO)
                rows.append((time.perf_counter() - now, answer.payload == payload))

        await asyncio.gather(*(caller() for _ in range(clients)))
        taken = time.perf_counter() - began
        cpu = time.process_time() - cpu
    errors = sum(not row[1] for row in rows)
    told = {
        "requests": len(rows),
        "errors": errors,
        "rps": round((len(rows) - errors) / taken, 1),
        **percentiles([row[0] for row in rows]),
        "own_cpu_s": cpu,
    }
    print(json.dumps(told))


def run_call(
    opened: Callable[[], AbstractAsyncContextManager[AgentRuntime]], words: list[str]
) -> Awaitable[None]:
    """Read `KIND CLIENTS SECONDS` and call."""
    return call(opened, words[0], int(words[1]), float(words[2]))
