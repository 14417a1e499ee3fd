"""Runs every benchmark of the page, one after the other, and writes the page.

    python -m benchmarks.everything [--list] [--only http_path tree …]

One that fails leaves its last result as it was; the others go on.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """One program of the page.

    Attributes:
        minutes: About how long it takes on two cores.
        words: What to run, after `python -m`.
    """

    name: str
    minutes: float
    words: str


RUNS = (
    Run("http_path", 3, "benchmarks.http_path"),
    Run("peers", 20, "benchmarks.peers"),
    Run("doors", 3, "benchmarks.doors"),
    Run("tree", 2, "benchmarks.tree --callers 128"),
    Run("journal", 3, "benchmarks.journal"),
    Run("scale", 5, "benchmarks.scale"),
    Run("service_times", 3, "benchmarks.thousand_nodes --record"),
    Run("thousand_nodes", 3, "benchmarks.thousand_nodes"),
    Run("load", 11, "benchmarks.soak"),
    Run("overload", 7, "benchmarks.overload"),
    Run("chaos", 16, "benchmarks.chaos --seeds 5 --share 0.1"),
    Run("cancels", 1, "benchmarks.cancels"),
    Run("budgets", 2, "tests.support.overdraw --seeds 100 --save benchmarks/results/budgets.json"),
    Run("budgets_live", 3,
        "tests.support.live_overdraw --seeds 3 --save benchmarks/results/budgets_live.json"),
    Run("races", 11, "tests.races --seeds 200 --save benchmarks/results/races.json"),
    Run("chat_overhead", 4, "benchmarks.chat_overhead"),
    Run("streams", 2, "benchmarks.streams"),
    Run("first_token", 1, "benchmarks.first_token"),
    Run("slow_sockets", 2, "benchmarks.slow_sockets"),
    Run("telemetry_cost", 2, "benchmarks.telemetry_cost"),
    Run("traces", 3, "benchmarks.traces"),
    Run("memory", 1, "benchmarks.memory"),
    Run("sessions", 2, "benchmarks.sessions"),
    Run("bridge_path", 5, "benchmarks.bridge_path"),
    Run("fuzz", 6, "tests.support.http_fuzz --cases 10000 --seed 1"),
    Run("fuzz_sockets", 1, "tests.support.socket_fuzz --messages 100000 --seed 1"),
)  # fmt: skip


def estimate(runs: list[Run]) -> str:
    """Return how long some programs take, in words."""
    whole = sum(run.minutes for run in runs)
    hours, minutes = divmod(round(whole), 60)
    told = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return f"{len(runs)} benchmarks, about {told} on two cores that do nothing else"


def run_all(runs: list[Run]) -> list[str]:
    """Run programs; return the names of those that failed."""
    failed = []
    for number, run in enumerate(runs, 1):
        words = [sys.executable, "-m", *run.words.split()]
        print(f"\n[{number}/{len(runs)}] {run.name}, about {run.minutes:g} min", flush=True)
        began = time.monotonic()
        if subprocess.run(words, check=False).returncode:
            failed.append(run.name)
        print(f"{run.name} took {(time.monotonic() - began) / 60:.1f} min", flush=True)
    return failed


def main() -> int:
    """Run what was chosen, and write the page."""
    names = [run.name for run in RUNS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="only tell what there is")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    chosen = parser.parse_args()
    runs = [run for run in RUNS if run.name in chosen.only]
    if chosen.list:
        for run in runs:
            print(f"{run.name:15} {run.minutes:4g} min  python -m {run.words}")
    print(f"{estimate(runs)}.", flush=True)
    if chosen.list:
        return 0
    failed = run_all(runs)
    subprocess.run([sys.executable, "-m", "benchmarks.page"], check=True)
    if failed:
        print(f"Failed: {', '.join(failed)}.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
