"""Does a collector get whole traces while workers, a supervisor and a gateway are killed?

    python -m benchmarks.traces [--tasks 1000] [--rate 15] [--every 1] [--seed 1]

One instance tells all of its traces to a collector in this process. Tasks of four kinds come at a
steady rate, each under a client's own span: work, failure, work of three agents with a model and a
tool, and echoes. Half of the clients wait on their request, the others come back for the answer.
Every second a worker is killed, a supervisor once, a gateway once. What `whole` means is said in
`benchmarks/wholeness.py`. Tasks that are asked for right before the instance is told to end show
whether it says what it still has to say.
"""

import argparse
import asyncio
import os
import random
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from benchmarks.chat_overhead import model_server
from benchmarks.collector import Collected, collecting
from benchmarks.harness import Instance, instance, save
from benchmarks.wholeness import Asked, faults
from cartrita.chaos.plan import Kind
from cartrita.chaos.victims import Processes
from cartrita.client import AsyncClient
from cartrita.clock import new_id
from cartrita.errors import CartritaError
from cartrita.protocol.task import TaskStatus

KINDS = {
    "bench.work": ({"ms": 20}, 30),
    "bench.fails": ({"ms": 20}, 10),
    "bench.family": ({"ms": 20}, 25),
    "system.echo": ({"payload": "hello"}, 35),
}
"""Of each kind: its parameters, and its share in 100."""

PATIENCE = 300.0
"""Seconds for which a client asks again and again."""

QUIET = 20.0
"""Seconds after the last task's end in which its spans are waited for."""

LAST = 20
"""Tasks that are asked for right before the end."""

SUPERVISOR_AT, GATEWAY_AT = 0.4, 0.7
"""After which part of the tasks these are killed."""


@dataclass
class Client:
    """One task's client.

    Attributes:
        began: Unix seconds, as all times here.
        answer: What the task ended with; None while nobody knows.
    """

    kind: str
    waits: bool
    trace: str = field(default_factory=lambda: secrets.token_hex(16))
    span: str = field(default_factory=lambda: secrets.token_hex(8))
    task_id: str = field(default_factory=new_id)
    began: float = 0.0
    ended: float = 0.0
    answer: Any = None

    async def run(self, client: AsyncClient) -> None:
        """Have it done."""
        options: Any = {
            "task_id": self.task_id,
            "timeout": PATIENCE,
            "traceparent": f"00-{self.trace}-{self.span}-01",
        }
        self.began = time.time()
        parameters, _ = KINDS[self.kind]
        with suppress(CartritaError):
            if self.waits:
                self.answer = await client.run(self.kind, parameters, **options)
            else:
                await client.submit(self.kind, parameters, **options)
                self.answer = await client.wait(self.task_id)
        self.ended = time.time()

    def asked(self, killed: list[float]) -> Asked:
        """Return what is known of it."""
        between = any(self.began - 1 < at < self.ended + 1 for at in killed)
        attempts, failed = (
            self.answer.metrics.retry_count + 1,
            self.answer.status is not TaskStatus.COMPLETED,
        )
        return Asked(self.task_id, self.kind, self.trace, self.span, attempts, failed, between)


@dataclass
class Killer:
    """Kills parts of an instance.

    Attributes:
        killed: When which kinds of process were.
    """

    running: Instance
    client: AsyncClient
    chance: random.Random
    killed: dict[Kind, list[float]] = field(default_factory=dict)

    async def kill(self, kind: Kind) -> None:
        """Kill one process of a kind, if there is any now."""
        tree = None
        with suppress(CartritaError):
            tree = await self.client.tree()
        processes = Processes(self.running.owner.pid)
        victim = await asyncio.to_thread(processes.find, kind, tree, self.chance.random())
        if victim is not None and processes.kill(victim):
            self.killed.setdefault(kind, []).append(time.time())

    async def workers(self, every: float) -> None:
        """Kill a worker again and again."""
        while True:
            await asyncio.sleep(every)
            await self.kill(Kind.WORKER)


@dataclass(frozen=True)
class Plan:
    """What is done and what is killed meanwhile.

    Attributes:
        kinds: Of the tasks, in their order.
        rate: Tasks a second.
        once: What is killed after so many tasks.
        every: Seconds between two workers that are killed; None kills none but those.
    """

    kinds: Sequence[str]
    rate: float
    once: Mapping[int, Kind]
    every: float | None = None


async def storm(
    running: Instance, plan: Plan, chance: random.Random
) -> tuple[list[Client], dict[Kind, list[float]]]:
    """Have all tasks done while processes are killed."""
    clients = [Client(kind, waits=number % 2 == 0) for number, kind in enumerate(plan.kinds)]
    url, token = running.urls["api"], running.token
    async with (
        AsyncClient(url, token=token, timeout=PATIENCE, retries=1000) as patient,
        AsyncClient(url, token=token, timeout=5.0, retries=0) as glance,
    ):
        for kind in set(plan.kinds):  # a first one of each, of which nothing is asked
            await Client(kind, waits=True).run(patient)
        killer, killing = Killer(running, glance, chance), None
        if plan.every:
            killing = asyncio.create_task(killer.workers(plan.every))
        due = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(clients):
                await asyncio.sleep(max(due - time.monotonic(), 0.0))
                due += 1 / plan.rate
                group.create_task(client.run(patient))
                if number in plan.once:
                    group.create_task(killer.kill(plan.once[number]))
        if killing:
            killing.cancel()
    return clients, killer.killed


async def settled(
    clients: list[Client], collected: Collected, killed: dict[Kind, list[float]]
) -> dict[str, Any]:
    """Report on tasks that have ended, once all of their spans came or nobody waits any more."""
    until = time.monotonic() + QUIET
    found = report(clients, collected, killed)
    while found["whole"] < found["ended"] and time.monotonic() < until:
        await asyncio.sleep(0.2)
        found = report(clients, collected, killed)
    return found


async def last_words(running: Instance, collected: Collected) -> dict[str, Any]:
    """Have tasks done, end the instance at once, and tell whose traces came."""
    clients = [Client("bench.work", waits=True) for _ in range(LAST)]
    async with AsyncClient(running.urls["api"], token=running.token, retries=50) as client:
        await asyncio.gather(*(one.run(client) for one in clients))
    down = [sys.executable, "-m", "cartrita", "down"]
    await asyncio.to_thread(
        subprocess.run, down, env=running.environment, check=False, capture_output=True
    )
    return report(clients, collected, {})


def report(
    clients: list[Client], collected: Collected, killed: dict[Kind, list[float]]
) -> dict[str, Any]:
    """Return how many traces are whole, and what the others lack."""
    traces, lacking, lost = collected.traces(), Counter[str](), Counter[str]()
    ended = [client for client in clients if client.answer is not None]
    whole, spans = 0, 0
    for client in ended:
        found = traces.get(client.trace, {})
        spans += len(found)
        wrong = faults(client.asked(killed.get(Kind.SUPERVISOR, [])), found)
        whole += not wrong
        lacking.update(set(wrong))
        if wrong:
            lost[_why(client, killed)] += 1
    return {
        "tasks": len(clients),
        "ended": len(ended),
        "whole": whole,
        "complete": round(whole / len(ended), 5) if ended else None,
        "spans": spans,
        "failed_tasks": sum(client.answer.status is not TaskStatus.COMPLETED for client in ended),
        "tried_again": sum(client.answer.metrics.retry_count > 0 for client in ended),
        "missing": dict(lacking.most_common()),
        "not_whole_because": dict(lost.most_common()),
    }


def _why(client: Client, killed: dict[Kind, list[float]]) -> str:
    """Return what was killed while a task ran, the rarest first."""
    for kind in (Kind.GATEWAY, Kind.SUPERVISOR, Kind.WORKER):
        if any(client.began - 1 < at < client.ended + 1 for at in killed.get(kind, [])):
            return f"{kind.value} killed meanwhile"
    return "nothing was killed meanwhile"


async def measure(running: Instance, collected: Collected, chosen: argparse.Namespace) -> Any:
    """Run everything on an instance that tells its traces to a collector."""
    began, chance = time.monotonic(), random.Random(chosen.seed)
    names, shares = list(KINDS), [share for _, share in KINDS.values()]
    kinds = chance.choices(names, shares, k=chosen.tasks)
    at = {SUPERVISOR_AT: Kind.SUPERVISOR, GATEWAY_AT: Kind.GATEWAY}
    once = {int(chosen.tasks * part): kind for part, kind in at.items()}
    clients, killed = await storm(running, Plan(kinds, chosen.rate, once, chosen.every), chance)
    found = await settled(clients, collected, killed)
    found["seconds"] = round(time.monotonic() - began, 1)
    found["killed"] = {kind.value: len(times) for kind, times in killed.items()}
    return {"under_kills": found, "at_the_end": await last_words(running, collected)}


def main() -> None:
    """Measure and save; fails where one trace in a hundred is not whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=15.0, help="tasks a second")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two workers")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with collecting() as collected, model_server(think_ms=20, words=20) as model:
        settings = {
            "TELEMETRY__OTLP_ENDPOINT": collected.url,
            "TELEMETRY__TRACE_RATIO": "1",
            "MODELS__OPENAI_BASE_URL": model,
            "MODELS__OPENAI_API_KEY": "x",
            "MODELS__CHAT_MODEL": "bench",
            "BUDGETS__USER_USD": "1000000",
            "BUDGETS__USER_TOKENS": str(10**12),
            "LIMITS__CACHE_TIMEOUT_S": "0",
        }
        with instance("benchmarks.mixed", **settings) as running:
            result = asyncio.run(measure(running, collected, chosen))
    for part, found in result.items():
        sys.stdout.write(f"{part}:\n")
        for key, value in found.items():
            sys.stdout.write(f"  {key}: {value}{os.linesep}")
    save("traces", result)
    if any((found["complete"] or 0) <= 0.99 for found in result.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
