"""The tree alone, without HTTP: a task through Door, supervisor and worker, journal included.

The baselines run on the same Ray in the same minutes: one actor call, and a chain of three
actors, which is what three tiers of plain Ray actors would be.

A batch is a hundred tasks that one call hands in and waits for; its rate is that of its tasks.

python -m benchmarks.tree [--seconds 5] [--callers 64] [--only tree ...] [--dry]
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
import uvloop

from benchmarks.driver import joined
from benchmarks.harness import Instance, cpu_seconds, instance, label, save
from cartrita.client import Client
from cartrita.protocol.principal import SYSTEM
from cartrita.protocol.task import TaskRequest

ROUNDS = 3
BATCH = 100
CASES = ("tree", "batch", "actor call", "chain of three")


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
        many = [(request, None)] * BATCH

        async def batch() -> None:
            answers = await door.submit_many(many, SYSTEM, wait=True)
            wrong = [one for one in answers if isinstance(one, Exception)]
            assert not wrong, wrong[0]

        yield {
            "tree": lambda: door.submit(request, SYSTEM, wait=True),
            "batch": batch,
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


async def drive(address: str, seconds: float, callers: int, only: list[str]) -> None:
    """Measure each in turn, and say so line by line; the parent reads CPU between lines."""
    async with opened(address) as calls:
        for name in only:
            await rate(calls[name], 8, 1.0)
            _tell({"ready": name})
        for _ in range(ROUNDS):
            for name in only:
                _tell({"begin": name})
                sys.stdin.readline()
                each = BATCH if name == "batch" else 1
                crowd = max(callers // 32, 1) if name == "batch" else callers
                _tell({"end": name, "rate": each * await rate(calls[name], crowd, seconds)})
                sys.stdin.readline()


def _tell(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def measure(running: Instance, seconds: float, callers: int, only: list[str]) -> dict[str, Any]:
    """Run the driver and read what every process used in each round."""
    words = [sys.executable, "-m", "benchmarks.tree", "--drive", running.ray,
             "--seconds", str(seconds), "--callers", str(callers), "--only", *only]  # fmt: skip
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
    parser.add_argument("--only", nargs="*", choices=CASES, default=CASES)
    parser.add_argument("--dry", action="store_true", help="do not save")
    parser.add_argument("--drive")
    chosen = parser.parse_args()
    if chosen.drive:
        uvloop.run(drive(chosen.drive, chosen.seconds, chosen.callers, chosen.only))
        return
    with instance() as running:
        with Client(running.urls["api"], token=running.token) as client:  # a no-op can be many
            client.command("CONFIG_UPDATE", "agent:health", concurrency=64)
        found = measure(running, chosen.seconds, chosen.callers, chosen.only)
    rate_of = {name: median(row["rate"] for row in rows) for name, rows in found.items()}
    cpu = {name: median(row["cpu_us"] for row in rows) for name, rows in found.items()}
    result: dict[str, Any] = {"callers": chosen.callers, "rounds": found}
    if set(CASES) <= set(found):
        result |= {
            "rate_over_chain": round(rate_of["tree"] / rate_of["chain of three"], 2),
            "rate_over_call": round(rate_of["tree"] / rate_of["actor call"], 2),
            "cpu_under_chain": round(cpu["chain of three"] / cpu["tree"], 2),
            "batch_rate": round(rate_of["batch"]),
            "batch_cpu_us": cpu["batch"],
        }
    print({key: value for key, value in result.items() if key != "rounds"})
    if not chosen.dry:
        save("tree", result)


if __name__ == "__main__":
    main()
