"""How long after the agent said it does a client have the first token?

The agent's token is the time at which it was said; the client reads the same clock. One stream
at a time through the edge, read by a plain socket.

    python -m benchmarks.first_token [--tasks 300]
"""

import argparse
import asyncio
import re
import statistics
import time
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Instance, instance, save
from cartrita.client import AsyncClient

SPEECH = {"firstMs": 60, "pauseMs": 5, "tokens": 20}
WARM = 20
_SAID = re.compile(rb'"type":"token"[^\n]*"text":"([0-9 ]+)"')


async def listen(url: str, path: str, token: str) -> list[tuple[float, int]]:
    """Follow a task's events; return for each event with tokens how late it came.

    Returns:
        Milliseconds from the saying of its first token, and how many tokens came with that.
    """
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(head.encode())
    found, held = [], b""
    try:
        while b"event: completed" not in held and (part := await reader.read(65536)):
            now = time.monotonic_ns()
            held += part
            for said in _SAID.finditer(held):
                told = [int(word) for word in said[1].split()]
                found.append(((now - told[0]) / 1e6, len(told)))
                held = held[: said.start()] + held[said.end() :]
    finally:
        writer.close()
    return found


async def measure(running: Instance, count: int) -> dict[str, list[float]]:
    """Run one task after another."""
    first, later, sizes = [], [], []
    async with AsyncClient(running.urls["api"], token=running.token) as client:
        for place in range(count + WARM):
            job = await client.submit("bench.talk", SPEECH)
            heard = await listen(
                running.urls["api"], f"/v3/tasks/{job.task_id}/events", running.token
            )
            if place >= WARM:
                first.append(heard[0][0])
                later += [late for late, _ in heard[1:]]
                sizes += [float(size) for _, size in heard[1:]]
    return {"first": first, "later": later, "tokens_together": sizes}


def summary(values: list[float]) -> dict[str, float]:
    """Return percentiles."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    told = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(values)}
    return {name: round(value, 2) for name, value in told.items()}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=300)
    chosen = parser.parse_args()
    with instance(agents="benchmarks.agents") as running:
        heard = asyncio.run(measure(running, chosen.tasks))
    told: dict[str, Any] = {name: summary(values) for name, values in heard.items()}
    table = Table("", "p50", "p95", "p99", "max")
    for name, row in told.items():
        table.add_row(name, *(str(value) for value in row.values()))
    Console(width=80).print(table)
    save("first_token", {"tasks": chosen.tasks, "speech": SPEECH, "ms": told})


if __name__ == "__main__":
    main()
