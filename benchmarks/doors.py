"""The same no-op by every door, in turns in one run; and how HTTP answers under load.

    python -m benchmarks.doors [--seconds 4] [--rounds 2] [--callers 64]

A bare no-op behind Serve and HAProxy is the baseline. `system.echo` is authenticated (where there
is a network between), journaled, supervised and run by a host each time. A batch is accepted
without waiting for its tasks; its rate counts until the last of them has ended, and its latencies
are those of the request. Under load, requests arrive at random at a share of the rate that was
found, whether or not earlier ones were answered.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness import HERE, Instance, instance, save
from benchmarks.http_path import wait_for
from benchmarks.measuring import measure, middle
from cartrita.client import Client

AIM = 10_000
SHARES = (0.25, 0.5, 0.75, 0.9)
LIMITS = {
    "LIMITS__MESSAGE_QUEUE_SIZE": "1000000",  # a batch may wait as a whole
    "LIMITS__SOCKET_MESSAGES_PER_S": "1000000",
    "LIMITS__SOCKET_BURST": "1000000",
    "SERVER__MAX_CONNECTIONS": "4096",
    "SERVER__MAX_CONNECTIONS_EACH": "4096",
}


@dataclass(frozen=True)
class Subject:
    """One door.

    Attributes:
        door: As `benchmarks.callers` knows it.
        share: Of the callers; one that brings a hundred tasks needs fewer.
    """

    door: str
    address: str
    token: str = ""
    share: float = 1.0


def subjects(running: Instance) -> dict[str, Subject]:
    """Return the doors of an instance, and the baseline."""
    api, token, few = running.urls["api"], running.token, 1 / 16
    return {
        "bare serve + haproxy": Subject("http", f"{running.serve}/bare/"),
        "http": Subject("http", f"{api}/v3/tasks", token),
        "http, batches of 100": Subject("batch", api, token, few),
        "websocket, one": Subject("websocket", api, token),
        "websocket, 32": Subject("websockets", api, token),
        "socket.io, 32": Subject("socket.io", api, token),
        "grpc, one channel": Subject("grpc", running.urls["grpc"], token),
        "in-cluster door": Subject("door", running.ray),
        "in-cluster door, batches of 100": Subject("door-batch", running.ray, share=few),
        "in-cluster client": Subject("client", running.ray),
        "in-cluster client, batches of 100": Subject("client-batch", running.ray, share=few),
    }


def one_host(running: Instance) -> None:
    """Have one host do all, with room for everybody: starting others takes CPU."""
    with Client(running.urls["api"], token=running.token) as client:
        pool = {"least": 1, "most": 1}
        client.command("CONFIG_UPDATE", "agent:health", concurrency=64, pool=pool)
        client.command("CONFIG_UPDATE", "system", maxConcurrentTasks=64)


def with_bare(running: Instance) -> None:
    """Deploy the baseline on the instance's Serve."""
    words = [sys.executable, str(HERE / "bare.py"), "serve", running.ray, "cartrita"]
    subprocess.run(words, env=running.driver_environment(), check=True)
    wait_for(f"{running.serve}/bare/")


def in_turns(
    running: Instance, callers: int, seconds: float, rounds: int, only: list[str]
) -> dict[str, list[dict[str, Any]]]:
    """Measure every door, round by round."""
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for name, subject in subjects(running).items():
            if only and not any(word in name for word in only):
                continue
            number = max(1, round(callers * subject.share))
            told = measure(
                running, subject.door, subject.address, number, seconds, token=subject.token
            )
            found.setdefault(name, []).append({"callers": number, **told})
            print(f"{name:34} {told['rps']:8.0f} /s  {told['cpu_us_total']:8.0f} us", flush=True)
    return found


def under_load(running: Instance, capacity: float, seconds: float) -> list[dict[str, Any]]:
    """Let requests arrive at shares of a rate."""
    rows = []
    url = f"{running.urls['api']}/v3/tasks"
    for share in SHARES:
        told = measure(
            running, "arrivals", url, 8, seconds, token=running.token, rate=share * capacity
        )
        rows.append({"share": share, **told})
    return rows


def best(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the quickest door that the aim is about."""
    rates = {
        name: middle(rounds, "rps")
        for name, rounds in found.items()
        if "batch" in name or "in-cluster" in name
    }
    name = max(rates, key=lambda one: rates[one], default="")
    return {"best": name, "best_rps": rates.get(name, 0.0), "aim_rps": AIM}


def show(found: dict[str, list[dict[str, Any]]], rows: list[dict[str, Any]]) -> None:
    """Print both tables."""
    table = Table("door", "tasks/s", "p50 ms", "p99 ms", "CPU µs/task", "client's", "errors")
    for name, rounds in found.items():
        mine = f"{middle(rounds, 'client_cpu_us'):.0f}" if "client_cpu_us" in rounds[0] else ""
        table.add_row(
            name, f"{middle(rounds, 'rps'):.0f}", f"{middle(rounds, 'p50_ms'):.1f}",
            f"{middle(rounds, 'p99_ms'):.1f}", f"{middle(rounds, 'cpu_us_total'):.0f}",
            mine, str(sum(one["errors"] for one in rounds)),
        )  # fmt: skip
    console = Console(width=110)
    console.print(table)
    table = Table("of the rate by HTTP", "offered/s", "p50 ms", "p95 ms", "p99 ms", "errors")
    for row in rows:
        figures = (f"{row[key]:.1f}" for key in ("offered_rps", "p50_ms", "p95_ms", "p99_ms"))
        table.add_row(str(row["share"]), *figures, str(row["errors"]))
    console.print(table)
    for name, rounds in found.items():
        console.print(f"{name}: {json.dumps(rounds[-1]['cpu_us'])}", rounds[-1].get("why", ""))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--only", nargs="*", default=[], help="Words of the doors' names.")
    chosen = parser.parse_args()
    with instance(**LIMITS) as running:
        one_host(running)
        with_bare(running)
        found = in_turns(running, chosen.callers, chosen.seconds, chosen.rounds, chosen.only)
        capacity = middle(found["http"], "rps") if "http" in found else 0.0
        rows = under_load(running, capacity, 1.5 * chosen.seconds) if capacity else []
    show(found, rows)
    result = {"callers": chosen.callers, **best(found), "capacity_rps": capacity}
    save("doors", {**result, "results": found, "under_load": rows})


if __name__ == "__main__":
    main()
