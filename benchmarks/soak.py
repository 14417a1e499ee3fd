"""The seed's load test: people and open sockets for ten minutes, with errors and memory watched.

    python -m benchmarks.soak [--minutes 10] [--users 100] [--sockets 50] [--rate 1000] [--seed 1]

Each user has an account and a token of its own. Tasks arrive at random (Poisson, seeded), so many
a minute, whether or not earlier ones have ended; each is of a user and of a kind by chance. Every
socket belongs to a user and is open from the first minute to the last; those users ask by it for
every second task. It ends with 1 if a hundredth of the tasks or more failed, if a socket was lost,
or if memory grows (`benchmarks.footprint`); what grows within less than five minutes is told and
not judged.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import connect

from benchmarks.callers import Socket, completed
from benchmarks.footprint import Sample, growth, sample, too_much
from benchmarks.harness import Instance, instance, save
from benchmarks.load import percentile

MOST_ERRORS = 0.01
EVERY = 10.0
PATIENCE = 30.0
"""Seconds after which a task that has not ended failed."""

JUDGED_FROM = 5.0
"""Minutes."""

TEXT = (
    "Order {n} is late because two payment tests fail. Maria found the cause: a race between "
    "refunds and webhooks. Please merge nothing else until Friday. The night train to Vienna "
    "leaves at ten, and the shop in Rome closes at six."
)


def _rows(n: int) -> list[dict[str, Any]]:
    return [
        {
            "day": f"2026-03-{day + 1:02}",
            "city": ("Rome", "Oslo")[day % 2],
            "amount": (n + day) % 97,
        }
        for day in range(20)
    ]


@dataclass(frozen=True)
class Kind:
    """A task type, how often it comes, and its parameters for the nth task."""

    task_type: str
    weight: int
    parameters: Callable[[int], dict[str, Any]]
    session: bool = False


MIX = (
    Kind("system.echo", 25, lambda n: {"payload": {"n": n}, "delayMs": n % 20}),
    Kind("langchain.chat.execute", 15, lambda n: {"message": f"What is {n}% of 9?"}, session=True),
    Kind("huggingface.text.summarization", 10, lambda n: {"text": TEXT.format(n=n)}),
    Kind(
        "huggingface.text.classification",
        10,
        lambda n: {"text": TEXT.format(n=n), "labels": ["sports", "politics", "software"]},
    ),
    Kind("memory.context.store", 10, lambda n: {"text": TEXT.format(n=n), "key": f"k{n % 200}"}),
    Kind("memory.context.retrieve", 10, lambda n: {"query": f"When does order {n} come?"}),
    Kind(
        "analytics.metrics.calculate",
        5,
        lambda n: {"dataset": _rows(n), "metrics": ["sum", "mean", "p90"]},
    ),
    Kind("data.analyze", 5, lambda n: {"data": _rows(n)}),
    Kind(
        "analytics.run_query",
        5,
        lambda n: {"query": "SELECT city, sum(amount) AS t FROM data GROUP BY city",
                   "data": _rows(n)},
    ),
    Kind("emotion.analysis", 5, lambda n: {"text": f"I was so happy when order {n} came!"}),
)  # fmt: skip


@dataclass(frozen=True)
class Met:
    """What became of one task."""

    kind: str
    transport: str
    at: float
    seconds: float
    error: str = ""


@dataclass
class People:
    """Users, their ways in, and what they met."""

    http: httpx.AsyncClient
    tokens: list[str]
    sockets: list[Socket]
    met: list[Met] = field(default_factory=list)
    under_way: set[asyncio.Task[None]] = field(default_factory=set)

    def ask(self, number: int, chance: random.Random, began: float) -> None:
        """Have one of them ask for something."""
        user = chance.randrange(len(self.tokens))
        (kind,) = chance.choices(MIX, [kind.weight for kind in MIX])
        task: dict[str, Any] = {"taskType": kind.task_type, "parameters": kind.parameters(number)}
        if kind.session:
            task["sessionId"] = f"talk-{user}"
        by_socket = user < len(self.sockets) and chance.random() < 0.5
        way = self.sockets[user].ask(task) if by_socket else self._post(task, self.tokens[user])
        transport = "websocket" if by_socket else "http"
        work = asyncio.create_task(self._note(way, kind.task_type, transport, began))
        self.under_way.add(work)
        work.add_done_callback(self.under_way.discard)

    async def _post(self, task: dict[str, Any], token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        answer = await self.http.post("/v3/tasks", json=task, headers=headers)
        return completed(answer.json() | ({} if answer.is_success else {"status": "REFUSED"}))

    async def _note(self, way: Awaitable[int], kind: str, transport: str, began: float) -> None:
        at, error = time.monotonic(), ""
        try:
            await asyncio.wait_for(way, PATIENCE)
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is counted
            error = f"{type(failure).__name__}: {failure}"[:300]
        now = time.monotonic()
        self.met.append(Met(kind, transport, now - began, now - at, error))

    @property
    def lost(self) -> int:
        """How many sockets are open no more."""
        return sum(socket.reading.done() for socket in self.sockets)


async def accounts(http: httpx.AsyncClient, number: int) -> list[str]:
    """Register so many users; return their tokens."""
    tokens = []
    for place in range(number):
        person = {"email": f"user{place}@example.org", "password": f"correct horse battery {place}"}
        answer = await http.post("/auth/register", json=person)
        tokens.append(answer.raise_for_status().json()["token"])
    return tokens


def told(met: list[Met]) -> dict[str, Any]:
    """Return figures of a number of tasks."""
    ordered = sorted(one.seconds for one in met if not one.error)
    figures = {f"p{share}_ms": percentile(ordered, share) for share in (50, 95, 99)}
    return {"requests": len(met), "errors": sum(bool(one.error) for one in met), **figures}


@dataclass
class Series:
    """What was seen every few seconds."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)


async def watch(running: Instance, people: People, series: Series, began: float) -> None:
    """Note every few seconds what has ended since, and the memory."""
    seen = 0
    while True:
        await asyncio.sleep(EVERY - (time.monotonic() - began) % EVERY)
        now, news = time.monotonic() - began, people.met[seen:]
        seen += len(news)
        sizes = await asyncio.to_thread(sample, running, now)
        series.samples.append(sizes)
        row = {"at_s": round(now, 1), "rps": round(len(news) / EVERY, 2), **told(news)}
        row |= {"open_sockets": len(people.sockets) - people.lost, **sizes.row()}
        series.rows.append(row)
        if len(series.rows) % 3 == 0:
            print(f"{now:5.0f} s  {row['rps']:6.1f} /s  p95 {row['p95_ms']:7.1f} ms  "
                  f"{row['own_mb']:7.1f} MB  errors {row['errors']}", flush=True)  # fmt: skip


async def run(running: Instance, chosen: argparse.Namespace) -> dict[str, Any]:
    """Let it all happen."""
    api, chance = running.urls["api"], random.Random(chosen.seed)
    series = Series()
    limits = httpx.Limits(max_connections=200)
    async with AsyncExitStack() as stack:
        client = httpx.AsyncClient(base_url=api, timeout=PATIENCE, limits=limits)
        http = await stack.enter_async_context(client)
        tokens = await accounts(http, chosen.users)
        sockets = []
        for token in tokens[: chosen.sockets]:
            headers = {"Authorization": f"Bearer {token}"}
            opening = connect(f"{api.replace('http', 'ws', 1)}/v3/ws", additional_headers=headers)
            sockets.append(Socket(await stack.enter_async_context(opening)))
        people = People(http, tokens, sockets)
        began = due = time.monotonic()
        watching = asyncio.create_task(watch(running, people, series, began))
        number, end = 0, began + 60 * chosen.minutes
        while (due := due + chance.expovariate(chosen.rate / 60)) < end:
            await asyncio.sleep(max(due - time.monotonic(), 0.0))
            people.ask(number, chance, began)
            number += 1
        if people.under_way:
            await asyncio.wait(people.under_way, timeout=PATIENCE + 1)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        lost = people.lost
    return summary(chosen, people.met, series, lost)


def summary(
    chosen: argparse.Namespace, met: list[Met], series: Series, lost: int
) -> dict[str, Any]:
    """Return what it comes to, and what is wrong with it."""
    kinds = sorted({one.kind for one in met})
    ways = sorted({one.transport for one in met})
    growths = growth(series.samples)
    failed = sum(bool(one.error) for one in met)
    judged = chosen.minutes >= JUDGED_FROM
    faults = [f"memory grows: {kind}" for kind in too_much(growths) if judged]
    if judged and not growths:
        faults.append("too little was seen of the memory")
    if not met or failed / len(met) >= MOST_ERRORS:
        faults.append(f"{failed} of {len(met)} tasks failed")
    if lost:
        faults.append(f"{lost} sockets were lost")
    why = sorted({one.error for one in met if one.error})[:10]
    return {
        **vars(chosen),
        "faults": faults,
        "error_share": round(failed / max(len(met), 1), 5),
        "sockets_lost": lost,
        "memory_judged": judged,
        "growth_per_10_min": growths,
        "all": {"rps": round(len(met) / (60 * chosen.minutes), 2), **told(met)},
        "by_type": {kind: told([one for one in met if one.kind == kind]) for kind in kinds},
        "by_transport": {way: told([one for one in met if one.transport == way]) for way in ways},
        "why": why,
        "series": series.rows,
    }


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    table = Table("", "tasks", "errors", "p50 ms", "p95 ms", "p99 ms")
    parts = {"all": result["all"], **result["by_transport"], **result["by_type"]}
    for name, row in parts.items():
        times = (f"{row[key]:.1f}" for key in ("p50_ms", "p95_ms", "p99_ms"))
        table.add_row(name, str(row["requests"]), str(row["errors"]), *times)
    console = Console(width=100)
    console.print(table)
    console.print("Growth in 10 minutes:", json.dumps(result["growth_per_10_min"]))
    for line in (*result["why"], *result["faults"]):
        console.print(line, style="red")


def main() -> None:
    """Run the load test."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--sockets", type=int, default=50)
    parser.add_argument("--rate", type=float, default=1000.0, help="Tasks a minute.")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    limits = {  # as they are by default; only that all register from one address within seconds
        "LIMITS__RATE_MAX": "1000",
        "LIMITS__RATE_SHARED_MAX": "100000",
        "LIMITS__AUTH_MAX": str(2 * chosen.users + 100),
    }
    with instance(**limits) as running:
        result = asyncio.run(run(running, chosen))
    show(result)
    save("load", result)
    sys.exit(bool(result["faults"]))


if __name__ == "__main__":
    main()
