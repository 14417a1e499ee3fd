"""What do a thousand idle event streams cost the gateway, against a bare Serve replica?

Both stand behind the same Serve, in the same run. A stream of the gateway follows a task of its
own, which runs and says nothing; one of the bare replica is a response that never ends.

    python -m benchmarks.streams [--streams 1000]
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Iterable
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from benchmarks.harness import HERE, Instance, instance, label, save
from cartrita.client import AsyncClient

SETTLE = 5.0
"""Seconds after which what was only needed to open the streams is gone."""

AT_ONCE = 50
WARM = 20
"""Streams that are opened before anything is measured: they load what the first one needs."""

KINDS = ("bare replica", "gateway replica", "supervisors", "workers", "edge", "serve haproxy")


class Streams:
    """Open streams, as plain sockets."""

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self, url: str, paths: Iterable[str], token: str = "") -> None:
        """Open a stream for each path and wait for the first thing it says."""
        turn, parts = asyncio.Semaphore(AT_ONCE), urlsplit(url)

        async def one(path: str) -> None:
            async with turn:
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
                self._writers.append(writer)
                head = f"GET {parts.path}{path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
                sign = f"Authorization: Bearer {token}\r\n" if token else ""
                writer.write(f"{head}{sign}\r\n".encode())
                told = await asyncio.wait_for(reader.readuntil(b"\n\n"), 30)
                if not told.startswith(b"HTTP/1.1 200"):
                    raise SystemExit(f"{path}: {told[:300]!r}")

        await asyncio.gather(*map(one, paths))

    def close(self) -> None:
        """Close all."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()


async def tasks(running: Instance, count: int) -> list[str]:
    """Start tasks that wait for an hour and return where their events are."""
    async with AsyncClient(running.urls["api"], token=running.token) as client:
        room = {"maxConcurrentTasks": 2 * count, "messageQueueSize": 2 * count}
        await client.command("CONFIG_UPDATE", "system", **room)
        turn = asyncio.Semaphore(AT_ONCE)

        async def one() -> str:
            async with turn:
                job = await client.submit("bench.idle", {"seconds": 3600})
                return f"/v3/tasks/{job.task_id}/events"

        return list(await asyncio.gather(*(one() for _ in range(count))))


def memory(running: Instance) -> dict[str, float]:
    """Return the memory by kind of process: proportional set sizes, in MB."""
    sizes = dict.fromkeys(KINDS, 0.0)
    for process in running.processes():
        if (kind := label(process)) in sizes:
            sizes[kind] += process.memory_full_info().pss / 1e6
    return sizes


async def measure(running: Instance, count: int) -> dict[str, dict[str, float]]:
    """Open the streams, first of the one and then of the other, and see what grows."""
    open_ones = Streams()
    paths = await tasks(running, count + WARM)
    bare = f"{running.serve}/bare"
    await open_ones.open(bare, ["/stream"] * WARM)
    await open_ones.open(running.urls["api"], paths[:WARM], running.token)
    found = {}
    for name in ("bare", "gateway"):
        await asyncio.sleep(SETTLE)
        before = memory(running)
        if name == "bare":
            await open_ones.open(bare, ["/stream"] * count)
        else:
            await open_ones.open(running.urls["api"], paths[WARM:], running.token)
        await asyncio.sleep(SETTLE)
        after = memory(running)
        found[name] = {kind: round(after[kind] - before[kind], 2) for kind in KINDS}
        found[name]["replica in all"] = round(after[f"{name} replica"], 1)
    open_ones.close()
    return found


def show(found: dict[str, dict[str, float]]) -> None:
    """Print the table."""
    table = Table("MB more", *found)
    for kind in next(iter(found.values())):
        table.add_row(kind, *(f"{found[name][kind]:.1f}" for name in found))
    Console(width=90).print(table)


def each(found: dict[str, dict[str, float]], count: int) -> dict[str, float]:
    """Return what one stream costs the replica, in KB."""
    kinds = {"bare": "bare replica", "gateway": "gateway replica"}
    return {name: round(found[name][kind] * 1000 / count, 1) for name, kind in kinds.items()}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    chosen = parser.parse_args()
    with instance(agents="benchmarks.agents") as running:
        subprocess.run(
            [sys.executable, str(HERE / "bare.py"), "serve", running.ray, "cartrita"],
            env=running.driver_environment(),
            check=True,
        )
        found = asyncio.run(measure(running, chosen.streams))
    cost = each(found, chosen.streams)
    show(found)
    Console(width=90).print(f"{chosen.streams} streams; KB each: {json.dumps(cost)}")
    save(
        "streams",
        {
            "streams": chosen.streams,
            "mb": found,
            "kb_each": cost,
            "ratio": round(cost["gateway"] / cost["bare"], 2),
        },
    )


if __name__ == "__main__":
    main()
