"""The tree alone, without HTTP: a task through Door, supervisor and worker, journal included.

The baselines run on the same Ray in the same minutes: one actor call, and a chain of three
actors, which is what three tiers of plain Ray actors would be.

python -m benchmarks.tree [--seconds 5] [--callers 64]
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median
from typing import Any

import psutil

from benchmarks.driver import joined
from benchmarks.harness import Instance, cpu_seconds, instance, label, save
from cartrita.client import Client
from cartrita.protocol.principal import SYSTEM
from cartrita.protocol.task import TaskRequest

ROUNDS = 3


class Echo:
    """A bare actor."""

    def __init__(self, inner: Any = None) -> None:
        self._inner = inner

    async def echo(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Answer, or have the next in the chain answer."""
        return await self._inner.echo.remote(payload) if self._inner else payload


@asynccontextmanager
async def opened(address: str) -> AsyncIterator[dict[str, Callable[[], Awaitable[Any]]]]:
    """Join the instance's Ray; give a way to call the tree, an actor and a chain of three."""
    import ray  # noqa: PLC0415 - only in the driver

    request = TaskRequest(task_type="system.echo", parameters={"payload": {"x": "y" * 200}})
    async with joined(address) as door:
        actor = ray.remote(Echo).options(num_cpus=0, max_concurrency=1000)
        one = actor.remote()
        chain = actor.remote(actor.remote(actor.remote()))
        payload = {"payload": {"x": "y" * 200}}
        yield {
            "tree": lambda: door.submit(request, SYSTEM, wait=True),
            "actor call": lambda: one.echo.remote(payload),
            "chain of three": lambda: chain.echo.remote(payload),
        }


async def rate(call: Callable[[], Awaitable[Any]], callers: int, seconds: float) -> float:
    """Return calls a second with so many callers."""
    end, count = time.perf_counter() + seconds, 0

    async def caller() -> None:
        nonlocal count
        while time.perf_counter() < end:
            await call()
            count += 1

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return count / (time.perf_counter() - began)


async def drive(address: str, seconds: float, callers: int) -> None:
    """Measure all three in turn, and say so line by line; the parent reads CPU between lines."""
    async with opened(address) as calls:
        for name, call in calls.items():
            await rate(call, 8, 1.0)
            _tell({"ready": name})
        for _ in range(ROUNDS):
            for name, call in calls.items():
                _tell({"begin": name})
                sys.stdin.readline()
                _tell({"end": name, "rate": await rate(call, callers, seconds)})
                sys.stdin.readline()


def _tell(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def measure(running: Instance, seconds: float, callers: int) -> dict[str, Any]:
    """Run the driver and read what every process used in each round."""
    words = [sys.executable, "-m", "benchmarks.tree", "--drive", running.ray,
             "--seconds", str(seconds), "--callers", str(callers)]  # fmt: skip
    driver = subprocess.Popen(
        words,
        env=running.driver_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert driver.stdin
    assert driver.stdout
    found: dict[str, list[dict[str, Any]]] = {}
    before: dict[int, float] = {}
    for text in driver.stdout:
        line = json.loads(text)
        processes = [*running.processes(), psutil.Process(driver.pid)]
        if "begin" in line:
            before = cpu_seconds(processes)
        elif "end" in line:
            used = _used(processes, before, driver.pid)
            tasks = line["rate"] * seconds
            micros = {who: round(1e6 * s / tasks, 1) for who, s in used.items() if s > 0.01}
            row = {"rate": round(line["rate"], 1), "cpu_us": round(sum(micros.values()), 1)}
            found.setdefault(line["end"], []).append({**row, "by": micros})
            print(f"{line['end']:15} {row['rate']:8.0f} /s  {row['cpu_us']:8.1f} us  {micros}")
        else:
            continue
        driver.stdin.write("\n")
        driver.stdin.flush()
    driver.wait(timeout=30)
    return found


def _used(
    processes: list[psutil.Process], before: dict[int, float], driver: int
) -> dict[str, float]:
    after, found = cpu_seconds(processes), {}
    for process in processes:
        who = "caller" if process.pid == driver else label(process)
        spent = after.get(process.pid, 0.0) - before.get(process.pid, 0.0)
        found[who] = found.get(who, 0.0) + spent
    return found


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--drive")
    chosen = parser.parse_args()
    if chosen.drive:
        asyncio.run(drive(chosen.drive, chosen.seconds, chosen.callers))
        return
    with instance() as running:
        with Client(running.urls["api"], token=running.token) as client:  # a no-op can be many
            client.command("CONFIG_UPDATE", "agent:health", concurrency=64)
        found = measure(running, chosen.seconds, chosen.callers)
    rate_of = {name: median(row["rate"] for row in rows) for name, rows in found.items()}
    cpu = {name: median(row["cpu_us"] for row in rows) for name, rows in found.items()}
    result = {
        "callers": chosen.callers,
        "rounds": found,
        "rate_over_chain": round(rate_of["tree"] / rate_of["chain of three"], 2),
        "rate_over_call": round(rate_of["tree"] / rate_of["actor call"], 2),
        "cpu_under_chain": round(cpu["chain of three"] / cpu["tree"], 2),
    }
    print({key: value for key, value in result.items() if key != "rounds"})
    save("tree", result)


if __name__ == "__main__":
    main()
