"""What do a thousand half-open sockets do to an honest client, and how long do they last?

python -m benchmarks.slow_sockets [--sockets 1000] [--rounds 5]

A third each sends a head byte by byte, a body byte by byte, or nothing after connecting. The
honest client submits `system.echo` all the while; what it sees without them is measured in the
same run, in turns.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from benchmarks.harness import HERE, instance, save

BODY = json.dumps({"taskType": "system.echo", "parameters": {"payload": 1}})
DRIP = 1.0
"""Seconds between two bytes."""

PATIENCE = 60.0
KINDS = {
    "head": b"POST /v3/tasks HTTP/1.1\r\nHost: x\r\n",
    "body": b"POST /v3/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
    "idle": b"",
}


class Slow(asyncio.Protocol):
    """One half-open socket, from its opening to its end."""

    def __init__(self, kind: str) -> None:
        self.kind, self.lasted = kind, PATIENCE
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the beginning of a request."""
        self._transport, self._began = transport, time.perf_counter()
        if KINDS[self.kind]:
            transport.write(KINDS[self.kind])
            self._drip()

    def _drip(self) -> None:
        if not self.gone.done():
            self._transport.write(b"a")
            asyncio.get_running_loop().call_later(DRIP, self._drip)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note how long it lasted."""
        self.lasted = time.perf_counter() - self._began
        self.gone.set_result(None)

    def close(self) -> None:
        """Give up."""
        self._transport.abort()


@asynccontextmanager
async def slow_sockets(url: str, count: int) -> AsyncIterator[list[Slow]]:
    """Open so many, and at the end wait until the other end has closed them all."""
    parts, loop, kinds = urlsplit(url), asyncio.get_running_loop(), list(KINDS)
    slow: list[Slow] = []
    for number in range(count):
        _, one = await loop.create_connection(
            lambda kind=kinds[number % 3]: Slow(kind), parts.hostname, parts.port
        )
        slow.append(one)
    yield slow
    await asyncio.wait([one.gone for one in slow], timeout=PATIENCE)
    for one in slow:
        if not one.gone.done():
            one.close()


async def honest(url: str, token: str, clients: int, seconds: float) -> dict:
    """Return what an honest client sees, in a process of its own."""
    words = [f"{url}/v3/tasks", str(clients), str(seconds), token, BODY]
    program = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "load.py"), *words, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await program.communicate()
    return json.loads(said)


async def rounds(url: str, token: str, chosen: argparse.Namespace) -> dict:
    """Measure without and with the slow sockets, in turns."""
    seen: dict[str, list[dict]] = {"alone": [], "beside": []}
    lasted: dict[str, list[float]] = {kind: [] for kind in KINDS}
    still_there = []
    await honest(url, token, chosen.clients, 2)
    for _ in range(chosen.rounds):
        seen["alone"].append(await honest(url, token, chosen.clients, chosen.seconds))
        async with slow_sockets(url, chosen.sockets) as slow:
            seen["beside"].append(await honest(url, token, chosen.clients, chosen.seconds))
            still_there.append(sum(not one.gone.done() for one in slow))
        for one in slow:
            lasted[one.kind].append(one.lasted)
    keys = ("p50_ms", "p99_ms", "rps")
    medians = {
        name: {key: statistics.median(one[key] for one in found) for key in keys}
        for name, found in seen.items()
    }
    return {
        "sockets": chosen.sockets,
        "clients": chosen.clients,
        "rounds": chosen.rounds,
        **medians,
        "p99_ratio": round(medians["beside"]["p99_ms"] / medians["alone"]["p99_ms"], 2),
        "p99_ms_each_round": {
            name: [round(one["p99_ms"], 2) for one in found] for name, found in seen.items()
        },
        "errors": sum(one["errors"] for found in seen.values() for one in found),
        "open_when_the_load_ended": still_there,
        "longest_life_s": {kind: round(max(times), 1) for kind, times in lasted.items()},
    }


def show(result: dict) -> None:
    """Print the result."""
    table = Table("", "requests/s", "p50 ms", "p99 ms")
    for name in ("alone", "beside"):
        found = result[name]
        table.add_row(
            name, f"{found['rps']:.0f}", f"{found['p50_ms']:.2f}", f"{found['p99_ms']:.1f}"
        )
    console = Console(width=80)
    console.print(table)
    console.print(f"p99 with {result['sockets']} slow sockets: {result['p99_ratio']} times.")
    console.print("Longest life, s:", result["longest_life_s"])


def main() -> None:
    """Run the benchmark."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sockets", type=int, default=1000)
    arguments.add_argument("--clients", type=int, default=4)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=7)
    chosen = arguments.parse_args()
    with suppress(KeyboardInterrupt), instance() as running:
        result = asyncio.run(rounds(running.urls["api"], running.token, chosen))
        show(result)
        save("slow_sockets", result)


if __name__ == "__main__":
    main()
