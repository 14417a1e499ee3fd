"""What becomes of ten times more tasks than can be done, and of those who share with a flood?

    python -m benchmarks.overload [--seconds 60]

Slots are capped so that a 20-ms task has a capacity near 100 a second, and for the flood the
mailbox to ten, at run time: what waits there is what the accepted wait for.
Callers arrive at random (Poisson) whether or not earlier ones were answered; whoever is refused
waits exactly its Retry-After and tries once more, with the same task id. Everything is measured
against the same system at 0.8 of its capacity, in the same run.
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import psutil

from actors.door import Door
from benchmarks.driver import joined
from benchmarks.harness import Instance, instance, label, save
from cartrita.client import Client
from cartrita.clock import new_id
from cartrita.errors import CartritaError, QueueFull
from cartrita.protocol.principal import Principal, Role
from cartrita.protocol.task import TaskRequest

SLOTS, QUEUE, WORK_MS = 2, 10, 20
PATIENCE = 900.0
"""Seconds for which those who were told to come again are followed."""


@dataclass
class Crowd:
    """What became of one crowd of callers."""

    done: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    returned: int = 0
    let_in: int = 0
    failed: int = 0
    latest: float = 0.0

    def summary(self, seconds: float) -> dict[str, Any]:
        """Return the figures, in milliseconds and per second."""
        return {
            "offered": len(self.done) + len(self.refused) - self.let_in + self.failed,
            "done_per_s": round(len(self.done) / seconds, 1),
            "p50_ms": _ms(self.done, 50),
            "p99_ms": _ms(self.done, 99),
            "refused": len(self.refused),
            "refusal_p99_ms": _ms(self.refused, 99),
            "came_back": self.returned,
            "let_in": self.let_in,
            "failed": self.failed,
            "longest_retry_after_s": self.latest,
        }


def _ms(values: list[float], which: int) -> float:
    if len(values) < 2:
        return 0.0
    return round(1000 * statistics.quantiles(values, n=100, method="inclusive")[which - 1], 2)


class Callers:
    """Callers of one tenant that arrive at random."""

    def __init__(self, door: Door, tenant: str, rate: float, seed: int) -> None:
        self._door, self._rate, self._chance = door, rate, random.Random(seed)
        self._who = Principal(tenant, tenant, Role.USER, ("tasks:*",))
        self._waiting: set[asyncio.Task[None]] = set()
        self.first, self.second = Crowd(), Crowd()

    async def come(self, seconds: float) -> None:
        """Let callers arrive for so long, and wait for those who are inside."""
        loop = asyncio.get_running_loop()
        at = loop.time()
        end = at + seconds
        while at < end:
            at += self._chance.expovariate(self._rate)
            await asyncio.sleep(max(0.0, at - loop.time()))
            task = asyncio.create_task(self._call())
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def leave(self, timeout: float) -> int:
        """Wait for those who are to come again; returns how many were not followed so far."""
        if not self._waiting:
            return 0
        _, late = await asyncio.wait(list(self._waiting), timeout=timeout)
        for task in late:
            task.cancel()
        return len(late)

    async def _call(self) -> None:
        request = TaskRequest(
            task_type="system.echo",
            parameters={"payload": 1, "delayMs": WORK_MS},
            task_id=new_id(),
        )
        again = await self._try(request, self.first)
        if again is None:
            return
        self.first.latest = max(self.first.latest, again)
        await asyncio.sleep(again)
        self.second.returned += 1
        if await self._try(request, self.second) is None:
            self.second.let_in += 1

    async def _try(self, request: TaskRequest, crowd: Crowd) -> float | None:
        """Return the seconds to wait before another try; None when it was accepted."""
        began = time.perf_counter()
        try:
            await self._door.submit(request, self._who, wait=True)
        except QueueFull as error:
            crowd.refused.append(time.perf_counter() - began)
            return error.retry_after or 1.0
        except CartritaError:
            crowd.failed += 1
            return None
        crowd.done.append(time.perf_counter() - began)
        return None


async def drive(address: str, seconds: float, again: float) -> dict[str, Any]:
    """Measure everything against one instance."""
    async with joined(address) as door:
        await _run(door, 20.0, {"warm": 20.0})
        found: dict[str, Any] = {}
        closed = await _capacity(door)
        found["capacity_per_s"] = round(closed, 1)
        calm = await _run(door, seconds / 2, {"calm": 0.8 * closed})
        found["calm"] = calm["calm"]
        alone = await _run(door, seconds / 2, {"b": 0.4 * closed})
        both = await _run(door, seconds / 2, {"b": 0.4 * closed, "a": 40 * closed / 4})
        found["b_alone"], found["b_beside_flood"] = alone["b"], both["b"]
        await _drained(door)
        print(json.dumps({"memory": "before"}), flush=True)
        sys.stdin.readline()
        crowd = await _run(door, seconds, {"flood": 10 * closed}, again)
        print(json.dumps({"memory": "after"}), flush=True)
        sys.stdin.readline()
        found["flood"] = crowd["flood"]
        return found


async def _drained(door: Door) -> None:
    """Wait until everything that waits has run."""
    who = Principal("last", "last", Role.USER, ("tasks:*",))
    last = TaskRequest(task_type="system.echo", parameters={"payload": 0}, priority=0)
    for _ in range(30):
        await door.submit(last, who, wait=True)
        await asyncio.sleep(0.2)


async def _capacity(door: Door) -> float:
    """Return how many tasks a second a few eager callers get done."""
    who = Principal("measure", "measure", Role.USER, ("tasks:*",))
    request = TaskRequest(task_type="system.echo", parameters={"payload": 1, "delayMs": WORK_MS})
    end, count = time.perf_counter() + 6.0, 0

    async def eager() -> None:
        nonlocal count
        while time.perf_counter() < end:
            await door.submit(request, who, wait=True)
            count += 1

    await asyncio.gather(*(eager() for _ in range(SLOTS + 2)))
    return count / 6.0


async def _run(
    door: Door, seconds: float, rates: dict[str, float], again: float = 0.0
) -> dict[str, Any]:
    groups = {
        name: Callers(door, name, rate, seed) for seed, (name, rate) in enumerate(rates.items())
    }
    await asyncio.gather(*(group.come(seconds) for group in groups.values()))
    late = {name: await group.leave(again or 1.0) for name, group in groups.items()}
    return {
        name: {
            **group.first.summary(seconds),
            "second_try": group.second.summary(seconds),
            "not_followed": late[name],
        }
        for name, group in groups.items()
    }


def measure(running: Instance, seconds: float, again: float) -> dict[str, Any]:
    """Run the driver; read the supervisors' memory before and after the flood."""
    words = [sys.executable, "-m", "benchmarks.overload", "--drive", running.ray,
             "--seconds", str(seconds), "--again", str(again)]  # fmt: skip
    driver = subprocess.Popen(
        words,
        env=running.driver_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert driver.stdin
    assert driver.stdout
    memory: dict[str, float] = {}
    found: dict[str, Any] = {}
    for text in driver.stdout:
        line = json.loads(text)
        if "memory" not in line:
            found = line
            continue
        memory[line["memory"]] = _supervisors_mb(running.processes())
        with Client(running.urls["api"], token=running.token) as client:
            client.command("CONFIG_UPDATE", "system", messageQueueSize=QUEUE)
        driver.stdin.write("\n")
        driver.stdin.flush()
    driver.wait(timeout=30)
    found["supervisors_mb"] = memory
    return found


def _supervisors_mb(processes: list[psutil.Process]) -> float:
    rows = [process for process in processes if label(process) == "supervisors"]
    return round(sum(process.memory_info().rss for process in rows) / 2**20, 1)


def verdicts(found: dict[str, Any]) -> dict[str, float]:
    """Return the figures that count, each against its own baseline."""
    flood, calm = found["flood"], found["calm"]
    second = flood["second_try"]
    done = flood["done_per_s"]
    memory = found["supervisors_mb"]
    beside, alone = found["b_beside_flood"], found["b_alone"]
    return {
        "p99_over_calm": round(flood["p99_ms"] / calm["p99_ms"], 2),
        "goodput": round((done + second["done_per_s"]) / found["capacity_per_s"], 3),
        "refusal_p99_ms": flood["refusal_p99_ms"],
        "let_in_at_second_try": round(second["let_in"] / max(second["came_back"], 1), 3),
        "b_p99_over_alone": round(beside["p99_ms"] / alone["p99_ms"], 2),
        "memory_growth": round(memory["after"] / memory["before"] - 1, 3),
    }


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--again", type=float, default=PATIENCE)
    parser.add_argument("--drive")
    chosen = parser.parse_args()
    if chosen.drive:
        print(json.dumps(asyncio.run(drive(chosen.drive, chosen.seconds, chosen.again))))
        return
    with instance(LIMITS__MAX_CONCURRENT_TASKS=str(SLOTS)) as running:
        found = measure(running, chosen.seconds, chosen.again)
    result = {"verdicts": verdicts(found), **found}
    print(json.dumps(result, indent=1))
    save("overload", result)


if __name__ == "__main__":
    main()
