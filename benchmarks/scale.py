"""What do more hosts, supervisor shards and gateway replicas bring?

    python -m benchmarks.scale [--seconds 5] [--rounds 2]

Hosts: a task that waits for 20 ms on hosts with two places each, so that a host does 100 a second
at most. Shards: a no-op from 64 users in the cluster; shards come with a host each. Replicas: the
same no-op by HTTP. What waits grows with hosts; what computes grows with cores, so that on a
machine of two the last two curves flatten: `cores` is how many of them were at work.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.doors import one_host
from benchmarks.harness import Instance, instance, save
from benchmarks.measuring import measure, middle
from cartrita.client import Client

CURVES = ("hosts", "shards", "replicas")
HOSTS, SHARDS, REPLICAS = (1, 2, 4, 8), (1, 2, 4), (1, 2, 4)
PLACES, WORK_S = 2, 0.02
WORK = {"taskType": "bench.work", "parameters": {"seconds": WORK_S}}
CALLERS = 64
PATIENCE = 90.0
SETTLE = 2.0
"""Seconds after which what has just started is quiet."""

Rows = dict[int, list[dict[str, Any]]]


@dataclass(frozen=True)
class Plan:
    """How long and how often each point is measured, and which are."""

    seconds: float
    rounds: int
    most: int
    curves: tuple[str, ...]

    def points(self, numbers: tuple[int, ...]) -> list[int]:
        """Return those that are measured."""
        return [number for number in numbers if number <= self.most]

    def point(self, name: str, one: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
        """Measure a point."""
        found = [one() for _ in range(self.rounds)]
        rate, cpu = middle(found, "rps"), middle(found, "cpu_us_total")
        print(f"{name:12} {rate:8.0f} /s  {cpu:8.0f} us", flush=True)
        return found


def wait_until(running: Instance, holds: Callable[[list[dict[str, Any]]], bool]) -> None:
    """Wait until something holds for the supervisors of the system team."""
    until = time.monotonic() + PATIENCE
    with Client(running.urls["api"], token=running.token) as client:
        while True:
            rows = client.tree()["supervisors"]
            if holds([row for row in rows if row["team"] == "system"]):
                break
            if time.monotonic() > until:
                raise SystemExit(f"The tree is not as ordered after {PATIENCE:g} s: {rows}")
            time.sleep(0.2)
    time.sleep(SETTLE)


def hosts_of(row: dict[str, Any], agent: str) -> int:
    """Return how many hosts of an agent are up."""
    return sum(host["state"] == "up" and agent in host["agents"] for host in row["hosts"])


def desks(running: Instance, number: int) -> None:
    """Have so many hosts, no more and no fewer."""
    with Client(running.urls["api"], token=running.token) as client:
        pool = {"least": number, "most": max(number, 1)}
        client.command("CONFIG_UPDATE", "agent:desk", pool=pool)
    if number:
        wait_until(running, lambda rows: all(hosts_of(row, "desk") == number for row in rows))


def shards(running: Instance, number: int) -> None:
    """Spread the team's tasks over so many supervisors."""
    if number > 1:
        with Client(running.urls["api"], token=running.token) as client:
            client.command("SCALE_UP", "system", to=number)
    wait_until(
        running,
        lambda rows: len(rows) == number and all(hosts_of(row, "health") for row in rows),
    )


def over_hosts(running: Instance, plan: Plan) -> Rows:
    """Measure the curve over hosts."""
    found: Rows = {}
    for number in plan.points(HOSTS):
        desks(running, number)
        callers = 3 * PLACES * number
        found[number] = plan.point(
            f"{number} hosts",
            lambda callers=callers: measure(
                running, "door", running.ray, callers, plan.seconds, task=WORK
            ),
        )
    desks(running, 0)
    return found


def over_shards(running: Instance, plan: Plan) -> Rows:
    """Measure the curve over supervisor shards."""
    found: Rows = {}
    for number in plan.points(SHARDS):
        shards(running, number)
        found[number] = plan.point(
            f"{number} shards", lambda: measure(running, "door", running.ray, CALLERS, plan.seconds)
        )
    return found


def by_http(running: Instance, plan: Plan) -> list[dict[str, Any]]:
    """Measure a point of the curve over gateway replicas."""
    url, token = f"{running.urls['api']}/v3/tasks", running.token
    return plan.point(
        "HTTP", lambda: measure(running, "http", url, CALLERS, plan.seconds, token=token)
    )


def series(found: Rows, ideal: float = 0.0) -> list[dict[str, Any]]:
    """Return a curve: the medians at each number, and how often the first one's rate that is."""
    first = middle(next(iter(found.values())), "rps")
    rows = []
    for number, rounds in found.items():
        row: dict[str, Any] = {"number": number}
        row |= {
            key: middle(rounds, key)
            for key in ("rps", "p50_ms", "p95_ms", "p99_ms", "cpu_us_total", "cores")
        }
        row["times_first"] = round(row["rps"] / first, 2)
        if ideal:
            row["of_ideal"] = round(row["rps"] / (ideal * number), 3)
        row["errors"] = sum(one["errors"] for one in rounds)
        row["requests"] = sum(one["requests"] for one in rounds)
        rows.append(row)
    return rows


def show(curves: dict[str, list[dict[str, Any]]]) -> None:
    """Print the curves."""
    table = Table("", "number", "tasks/s", "times the first", "p50 ms", "p99 ms", "CPU µs/task",
                  "cores", "errors")  # fmt: skip
    for name, rows in curves.items():
        for row in rows:
            keys = ("number", "rps", "times_first", "p50_ms", "p99_ms", "cpu_us_total", "cores",
                    "errors")  # fmt: skip
            table.add_row(name, *(f"{row[key]:g}" for key in keys))
    Console(width=110).print(table)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--most", type=int, default=8, help="Points beyond it are left out.")
    parser.add_argument("--curves", nargs="*", choices=CURVES, default=CURVES)
    plan = Plan(**vars(parser.parse_args()))
    found: dict[str, Rows] = {name: {} for name in plan.curves}
    for number in plan.points(REPLICAS if "replicas" in plan.curves else (1,)):
        settings = {"SERVER__GATEWAY_REPLICAS": str(number)}
        with instance(agents="benchmarks.agents", **settings) as running:
            one_host(running)
            time.sleep(SETTLE)
            if "replicas" in found:
                found["replicas"][number] = by_http(running, plan)
            if number == 1 and "hosts" in found:
                found["hosts"] = over_hosts(running, plan)
            if number == 1 and "shards" in found:
                found["shards"] = over_shards(running, plan)
    ideal = {"hosts": PLACES / WORK_S}
    curves = {name: series(rows, ideal.get(name, 0.0)) for name, rows in found.items()}
    show(curves)
    save("scale", {**curves, "work_ms": WORK_S * 1000, "places": PLACES})


if __name__ == "__main__":
    main()
