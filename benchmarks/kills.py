"""What do deaths cost? Processes of a running instance are killed under load, and tasks counted.

    python -m benchmarks.kills workers|supervisors|orchestrator|cancel|all [--tasks 2000]

The load is `system.echo` over HTTP with ids minted here, so that a lost connection is answered
by asking again. Lost: accepted, and no end 60 s after the load. Recovery of a worker's or a
supervisor's death: how much longer than its work an interrupted task took.
"""

import argparse
import asyncio
import os
import random
import signal
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness import instance, save
from cartrita.client import AsyncClient, Client
from cartrita.clock import new_id
from cartrita.errors import CartritaError

WORK_MS = 40
RATE = 100.0
"""Tasks that arrive in a second, at random."""

MOST_WAIT = 60.0


@dataclass
class Toll:
    """What a run of kills cost."""

    tasks: int = 0
    kills: int = 0
    lost: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    interrupted: list[float] = field(default_factory=list)
    repairs: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return the figures, in seconds."""
        return {
            "tasks": self.tasks,
            "kills": self.kills,
            "lost": len(self.lost),
            "failed": len(self.failed),
            "interrupted": len(self.interrupted),
            "recovery_p50": _percentile(self.interrupted, 50),
            "recovery_p99": _percentile(self.interrupted, 99),
            "repair_max": round(max(self.repairs, default=0.0), 3),
            "latency_p99": _percentile(self.latencies, 99),
        }


def _percentile(values: list[float], which: int) -> float:
    if len(values) < 2:
        return round(max(values, default=0.0), 3)
    return round(statistics.quantiles(values, n=100, method="inclusive")[which - 1], 3)


Pick = Callable[[dict[str, Any], random.Random], int | None]
"""Chooses the process to kill from the tree."""


def a_worker(tree: dict[str, Any], chance: random.Random) -> int | None:
    """Choose any worker that is up."""
    hosts = [host for shard in tree["supervisors"] for host in shard["hosts"] if host["pid"]]
    return chance.choice(hosts)["pid"] if hosts else None


def a_supervisor(tree: dict[str, Any], chance: random.Random) -> int | None:
    """Choose any supervisor that is up."""
    shards = [shard for shard in tree["supervisors"] if shard.get("pid") and shard["state"] == "up"]
    return chance.choice(shards)["pid"] if shards else None


def the_orchestrator(tree: dict[str, Any], _: random.Random) -> int | None:
    """Choose the orchestrator."""
    return tree["orchestrator"].get("pid")


async def kills(
    url: str, token: str, pick: Pick, *, tasks: int, every: float, seed: int = 1
) -> Toll:
    """Load the instance, kill a process every so many seconds, and count."""
    toll, chance = Toll(tasks), random.Random(seed)
    async with AsyncClient(url, token=token, timeout=MOST_WAIT, retries=100) as client:
        killer = asyncio.create_task(_kill(client, toll, pick, every, chance))
        loads = []
        for number in range(tasks):
            loads.append(asyncio.create_task(_load(client, toll, number)))
            await asyncio.sleep(chance.expovariate(RATE))
        await asyncio.gather(*loads)
        killer.cancel()
        await asyncio.gather(killer, return_exceptions=True)
    return toll


async def _load(client: AsyncClient, toll: Toll, number: int) -> None:
    task_id, began = new_id(), time.monotonic()
    try:
        outcome = await client.run(
            "system.echo", {"payload": number, "delayMs": WORK_MS}, task_id=task_id
        )
    except CartritaError as error:
        toll.lost.append(f"{task_id}: {error!r}")
        return
    took = time.monotonic() - began
    toll.latencies.append(took)
    if outcome.status != "COMPLETED" or (outcome.result or {}).get("payload") != number:
        toll.failed.append(f"{task_id}: {outcome.error_code} {outcome.reason}")
    elif outcome.metrics.retry_count or took > 0.5:
        toll.interrupted.append(took - WORK_MS / 1000)


async def _kill(
    client: AsyncClient, toll: Toll, pick: Pick, every: float, chance: random.Random
) -> None:
    watching: list[asyncio.Task[None]] = []
    while True:
        await asyncio.sleep(every)
        try:
            pid = pick(await client.tree(), chance)
        except CartritaError:
            continue
        if pid is not None:
            with suppress(ProcessLookupError):  # it died of an earlier kill
                os.kill(pid, signal.SIGKILL)
                toll.kills += 1
                watching.append(asyncio.create_task(_repaired(client, pid, toll)))


async def _repaired(client: AsyncClient, pid: int, toll: Toll) -> None:
    """Note how long it takes until everything is up without the process that was killed."""
    began = time.monotonic()
    while time.monotonic() - began < MOST_WAIT:
        tree = await client.tree()
        rows = [tree["orchestrator"], *tree["supervisors"]]
        hosts = [host for shard in tree["supervisors"] for host in shard["hosts"]]
        up = all(row.get("state") == "up" for row in rows)
        if up and pid not in [row.get("pid") for row in [*rows, *hosts]]:
            toll.repairs.append(time.monotonic() - began)
            return
        await asyncio.sleep(0.05)
    toll.repairs.append(MOST_WAIT)


async def cancel_races(url: str, token: str, *, tasks: int, seed: int = 1) -> dict[str, Any]:
    """Start tasks of a minute and cancel each at once; count what still runs a second later."""
    chance, cancelled = random.Random(seed), 0
    async with AsyncClient(url, token=token, timeout=MOST_WAIT) as client:

        async def race() -> None:
            nonlocal cancelled
            job = await client.submit(
                "system.echo", {"payload": 0, "delayMs": 10_000}, timeout=60.0
            )
            await asyncio.sleep(chance.choice((0, 0, 0.001, 0.01, 0.05)))
            cancelled += await client.cancel(job.id)

        for _ in range(tasks // 20):
            await asyncio.gather(*(race() for _ in range(20)))
        await asyncio.sleep(1.0)
        tree = await client.tree()
    running = sum(shard["inFlight"] + shard["queueDepth"] for shard in tree["supervisors"])
    hosts = [host for shard in tree["supervisors"] for host in shard["hosts"]]
    return {
        "tasks": tasks,
        "cancelled": cancelled,
        "still_running": running + sum(host["inFlight"] for host in hosts),
    }


SCENARIOS: dict[str, tuple[Pick, float]] = {
    "workers": (a_worker, 1.0),
    "supervisors": (a_supervisor, 5.0),
    "orchestrator": (the_orchestrator, 5.0),
}


def main() -> None:
    """Run scenarios on an instance of their own and save what they cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", choices=[*SCENARIOS, "cancel", "all"])
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=1)
    chosen = parser.parse_args()
    names = [*SCENARIOS, "cancel"] if chosen.scenario == "all" else [chosen.scenario]
    results: dict[str, Any] = {}
    with instance() as running:
        url, token = running.urls["api"], running.token
        with Client(url, token=token) as client:
            client.run("system.echo", {"payload": 0})
        for name in names:
            for seed in range(1, chosen.seeds + 1):
                if name == "cancel":
                    found = asyncio.run(cancel_races(url, token, tasks=chosen.tasks // 2))
                else:
                    pick, every = SCENARIOS[name]
                    toll = asyncio.run(
                        kills(url, token, pick, tasks=chosen.tasks, every=every, seed=seed)
                    )
                    found = toll.summary()
                    print(*(toll.lost + toll.failed)[:5], sep="\n")
                print(name, found)
                results.setdefault(name, []).append({"seed": seed, **found})
    save("kills", {"work_ms": WORK_MS, "tasks_per_s": RATE, "results": results})


if __name__ == "__main__":
    main()
