"""What becomes of ten times more tasks than can be done, and of those who share with a flood?

    python -m benchmarks.overload [--seconds 60]

Slots are capped so that a 20-ms task has a capacity near 100 a second, and for the overload the
mailbox to ten, at run time: what waits there is what the accepted wait for.
Callers arrive at random (Poisson) whether or not earlier ones were answered; whoever is refused
waits exactly its Retry-After and tries once more, with the same task id. Everything is measured
against the same system at 0.8 of its capacity, in the same run; and one tenant
at a tenth of the capacity, alone and beside a flood a hundred times its rate, in turns.
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
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

SLOTS, QUEUE, WORK_MS, ROUNDS = 2, 10, 20, 4
PATIENCE = 120.0
"""Seconds for which those who were told to come again are followed."""


@dataclass
class Crowd:
    """What became of one crowd of callers."""

    done: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    within: int = 0
    returned: int = 0
    let_in: int = 0
    failed: int = 0
    latest: float = 0.0

    def add(self, other: "Crowd") -> None:
        """Add what became of the same crowd in another round."""
        for name in ("done", "refused", "within", "returned", "let_in", "failed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.latest = max(self.latest, other.latest)

    def summary(self, seconds: float) -> dict[str, Any]:
        """Return the figures, in milliseconds and per second."""
        return {
            "offered": len(self.done) + len(self.refused) + self.failed - self.returned,
            "done_per_s": round(self.within / seconds, 1),
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
        self._end = 0.0
        self.crowd = Crowd()

    async def come(self, seconds: float, again: float) -> None:
        """Let callers arrive for so long; who was refused is followed for `again` seconds more."""
        loop = asyncio.get_running_loop()
        at = loop.time()
        self._end = at + seconds
        while at < self._end:
            at += self._chance.expovariate(self._rate)
            await asyncio.sleep(max(0.0, at - loop.time()))
            task = asyncio.create_task(self._call())
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)
        _, late = await asyncio.wait([*self._waiting], timeout=again or 5.0)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _call(self) -> None:
        request = TaskRequest(
            task_type="system.echo",
            parameters={"payload": 1, "delayMs": WORK_MS},
            task_id=new_id(),
        )
        again = await self._try(request)
        if again is None:
            return
        self.crowd.latest = max(self.crowd.latest, again)
        await asyncio.sleep(again)
        self.crowd.returned += 1
        entered = await self._try(request) is None
        self.crowd.let_in += entered  # in a line of its own: others count meanwhile

    async def _try(self, request: TaskRequest) -> float | None:
        """Return the seconds to wait before another try; None when it was accepted."""
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        try:
            await self._door.submit(request, self._who, wait=True)
        except QueueFull as error:
            self.crowd.refused.append(time.perf_counter() - began)
            return error.retry_after or 1.0
        except CartritaError:
            self.crowd.failed += 1
            return None
        self.crowd.done.append(time.perf_counter() - began)
        self.crowd.within += loop.time() <= self._end
        return None


async def drive(address: str, tenant: str) -> None:
    """Be the callers of one tenant: a line of standard input is a crowd, the answer what it met."""
    loop = asyncio.get_running_loop()
    async with joined(address) as door:
        print("{}", flush=True)
        seed = 0
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order, seed = json.loads(line), seed + 1
            if order["rate"]:
                callers = Callers(door, tenant, order["rate"], seed)
                await callers.come(order["seconds"], order["again"])
                found = asdict(callers.crowd)
            else:
                found = {"rate": await _capacity(door, tenant, order["seconds"])}
            print(json.dumps(found), flush=True)


async def _capacity(door: Door, tenant: str, seconds: float) -> float:
    """Return how many tasks a second a few eager callers get done."""
    who = Principal(tenant, tenant, Role.USER, ("tasks:*",))
    request = TaskRequest(task_type="system.echo", parameters={"payload": 1, "delayMs": WORK_MS})
    end, count = time.perf_counter() + seconds, 0

    async def eager() -> None:
        nonlocal count
        while time.perf_counter() < end:
            await door.submit(request, who, wait=True)
            count += 1

    await asyncio.gather(*(eager() for _ in range(SLOTS + 2)))
    return count / seconds


class Driver:
    """A process with the callers of one tenant: a flood must not slow down who is measured."""

    def __init__(self, running: Instance, tenant: str) -> None:
        words = [sys.executable, "-m", "benchmarks.overload", "--drive", running.ray, tenant]
        self._process = subprocess.Popen(
            words,
            env=running.driver_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def send(self, rate: float, seconds: float, again: float = 0.0) -> None:
        """Let a crowd come."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"rate": rate, "seconds": seconds, "again": again}))
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def crowd(self) -> Crowd:
        """Return what became of it."""
        return Crowd(**self._answer())

    def capacity(self, seconds: float) -> float:
        """Measure how much can be done."""
        self.send(0.0, seconds)
        return float(self._answer()["rate"])

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        finally:
            self._process.kill()


def fairness(
    running: Instance, a: Driver, b: Driver, capacity: float, seconds: float
) -> dict[str, Any]:
    """One tenant alone and beside another that floods a hundredfold, in turns."""
    rate, slice_ = capacity / 10, seconds / ROUNDS
    alone, beside = Crowd(), Crowd()
    for _ in range(ROUNDS):
        b.send(rate, slice_)
        alone.add(b.crowd())
        a.send(100 * rate, slice_ + 2)
        time.sleep(1.0)  # the flood stands
        b.send(rate, slice_)
        beside.add(b.crowd())
        a.crowd()
        drained(running)
    return {"b_alone": alone.summary(seconds), "b_beside_flood": beside.summary(seconds)}


def queue(running: Instance, bound: int) -> None:
    """Bound the mailbox."""
    with Client(running.urls["api"], token=running.token) as client:
        client.command("CONFIG_UPDATE", "system", messageQueueSize=bound)


def drained(running: Instance) -> None:
    """Wait until nothing waits or runs: who shares fairly does not notice another's backlog."""
    with Client(running.urls["api"], token=running.token) as client:
        until = time.monotonic() + PATIENCE
        while any(
            queue["depth"] + queue["inFlight"] for queue in client.health()["queues"].values()
        ):
            if time.monotonic() > until:
                raise SystemExit("Tasks of a flood still wait.")
            time.sleep(0.5)


def measure(running: Instance, seconds: float, again: float) -> dict[str, Any]:
    """Measure everything against one instance."""
    a, b = Driver(running, "a"), Driver(running, "b")
    try:
        a.send(20.0, 10.0)  # so that it is known how long tasks take
        a.crowd()
        capacity = a.capacity(6.0)
        found: dict[str, Any] = {"capacity_per_s": round(capacity, 1)}
        queue(running, QUEUE)
        before = _supervisors_mb(running.processes())
        b.send(0.8 * capacity, seconds)
        found["calm"] = b.crowd().summary(seconds)
        a.send(10 * capacity, seconds, again)
        found["flood"] = a.crowd().summary(seconds)
        after = _supervisors_mb(running.processes())
        found["supervisors_mb"] = {"before": before, "after": after}
        queue(running, 1000)
        drained(running)
        found.update(fairness(running, a, b, capacity, seconds))
    finally:
        a.close()
        b.close()
    return found


def _supervisors_mb(processes: list[psutil.Process]) -> float:
    rows = [process for process in processes if label(process) == "supervisors"]
    return round(sum(process.memory_info().rss for process in rows) / 2**20, 1)


def verdicts(found: dict[str, Any]) -> dict[str, float]:
    """Return the figures that count, each against its own baseline."""
    flood, calm, memory = found["flood"], found["calm"], found["supervisors_mb"]
    beside, alone = found["b_beside_flood"], found["b_alone"]
    return {
        "p99_over_calm": round(flood["p99_ms"] / calm["p99_ms"], 2),
        "goodput": round(flood["done_per_s"] / found["capacity_per_s"], 3),
        "refusal_p99_ms": flood["refusal_p99_ms"],
        "let_in_at_second_try": round(flood["let_in"] / max(flood["came_back"], 1), 3),
        "b_p99_over_alone": round(beside["p99_ms"] / alone["p99_ms"], 2),
        "b_refused_beside_flood": beside["refused"],
        "memory_growth": round(memory["after"] / memory["before"] - 1, 3),
    }


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--again", type=float, default=PATIENCE)
    parser.add_argument("--drive", nargs=2, metavar=("ADDRESS", "TENANT"))
    chosen = parser.parse_args()
    if chosen.drive:
        asyncio.run(drive(*chosen.drive))
        return
    with instance(LIMITS__MAX_CONCURRENT_TASKS=str(SLOTS)) as running:
        found = measure(running, chosen.seconds, chosen.again)
    result = {"verdicts": verdicts(found), **found}
    print(json.dumps(result, indent=1))
    save("overload", result)


if __name__ == "__main__":
    main()
