"""What does it cost to see everything?

    python -m benchmarks.telemetry_cost [--seconds 4] [--rounds 6] [--clients 32] [--ratio 0.1]

Two instances on one machine, in turns, so that whatever else happens there happens to both: one
counts, traces and logs as it does by default, with a collector in a process of its own and its
metrics read every 15 seconds, as our Prometheus does; the other does none of that. `POST
/v3/tasks` with `system.echo`, each request under a trace of its own. While one is loaded, the
other is idle.
"""

import argparse
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Instance, instance, save
from benchmarks.http_path import measure, median, wait_for

SCRAPE_EVERY = 15.0
SHARES = ("rps", "cpu_us_total", "p50_ms", "p99_ms")
AIM = 0.05
"""The most that it may cost."""

OFF = {"TELEMETRY__METRICS": "false", "TELEMETRY__LOG_LEVEL": "critical"}


@contextmanager
def collector() -> Iterator[str]:
    """Run a collector in a process of its own; gives its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.collector"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=10)
        sys.stdout.write(f"the collector: {said}")


@contextmanager
def scraping(running: Instance) -> Iterator[None]:
    """Read the metrics as a Prometheus does."""
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(SCRAPE_EVERY):
            with suppress(URLError, OSError):
                urlopen(f"{running.urls['api']}/metrics", timeout=5).read()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def compared(found: dict[str, list[dict]]) -> dict[str, Any]:
    """Return what is added by it, by round: parts of what it is without."""
    pairs = list(zip(found["on"], found["off"], strict=True))
    parts = {key: [on[key] / off[key] - 1 for on, off in pairs] for key in SHARES}
    return {
        "added": {key: round(statistics.median(values), 4) for key, values in parts.items()},
        "added_by_round": {key: [round(x, 4) for x in values] for key, values in parts.items()},
        "added_cpu_us": {
            who: round(_of(found["on"], who) - _of(found["off"], who), 1)
            for who in sorted({who for one in found["on"] for who in one["cpu_us"]})
        },
    }


def _of(rounds: list[dict], who: str) -> float:
    return statistics.median(one["cpu_us"].get(who, 0) for one in rounds)


def show(found: dict[str, list[dict]], told: dict[str, Any]) -> None:
    """Print what was found."""
    table = Table("", "tasks/s", "CPU µs per task", "p50 ms", "p99 ms")
    for name, rounds in found.items():
        row = [f"{median(rounds, key):.1f}" for key in SHARES]
        table.add_row(name, *row)
    table.add_row("added", *(f"{told['added'][key]:+.1%}" for key in SHARES))
    console = Console(width=100)
    console.print(table)
    console.print("CPU µs added, by process:", told["added_cpu_us"])


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--ratio", type=float, default=0.1, help="part of all traces that is told")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        told = {
            "TELEMETRY__OTLP_ENDPOINT": stack.enter_context(collector()),
            "TELEMETRY__TRACE_RATIO": str(chosen.ratio),
        }
        instances = {
            "on": stack.enter_context(instance(**told)),
            "off": stack.enter_context(instance(**OFF)),
        }
        stack.enter_context(scraping(instances["on"]))

        def load(name: str, seconds: float) -> dict:
            running = instances[name]
            url = f"{running.urls['api']}/v3/tasks"
            return measure(url, chosen.clients, seconds, running.token, running)

        found: dict[str, list[dict]] = {name: [] for name in instances}
        for name, running in instances.items():
            wait_for(f"{running.urls['api']}/livez")
            load(name, 2.0)  # warm
        for number in range(chosen.rounds):
            for name in list(found)[:: 1 if number % 2 else -1]:  # each is first as often
                found[name].append(load(name, chosen.seconds))
    told_of = compared(found)
    show(found, told_of)
    within = told_of["added"]["cpu_us_total"] <= AIM
    options = {"clients": chosen.clients, "ratio": chosen.ratio}
    save("telemetry_cost", {**options, **told_of, "within_aim": within, "results": found})


if __name__ == "__main__":
    main()
