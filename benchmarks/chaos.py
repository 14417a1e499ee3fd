"""The kill matrix: what do deaths and pauses of each part cost under load?

    python -m benchmarks.chaos [--only K1,K5] [--seeds 5] [--first 1] [--share 1.0]

Each case is `cartrita chaos run` on one instance, once per seed. Results of earlier runs are
kept where the seeds differ, so that a long matrix can be run in parts.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.harness import RESULTS, Instance, instance, save

LONGEST = 900.0
"""Seconds that one run may take."""

_KEPT = ("seed", "tasks", "rate", "seconds", "accepted", "refused", "ends", "errors", "lost",
         "executions", "effects", "duplicated", "missing", "overBudget", "violations", "streams",
         "answers", "withoutRetryAfter", "faults", "failures")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the matrix."""

    what: str
    tasks: int
    options: str


CASES = {
    "K1": Case("a worker every second", 2000, "--kill worker --every 1 --rate 30"),
    "K2": Case("a supervisor every 5 s", 2000, "--kill supervisor --every 5 --rate 30"),
    "K3": Case("the orchestrator", 2000, "--kill orchestrator --every 5 --rate 30"),
    "K4": Case(
        "gateway, Serve's HAProxy and its manager, edge, with 200 open streams",
        2000,
        "--kill gateway,haproxy,proxy,edge --every 8 --rate 30 --streams 200",
    ),
    "K5": Case("Postgres killed", 2000, "--kill postgres --every 10 --rate 30"),
    "K5f": Case("Postgres frozen, 10 s", 1000, "--pause postgres --hold 10 --every 25 --rate 25"),
    "K6": Case("Valkey killed with all it held", 2000, "--kill valkey --every 5 --rate 30"),
    "K6f": Case("Valkey frozen, 10 s", 500, "--pause valkey --hold 10 --every 15 --rate 25"),
    "K7": Case("GCS", 1000, "--kill gcs --every 100 --rate 20"),
    "K8": Case("raylet, and the whole node with it", 1000, "--kill raylet --every 100 --rate 20"),
    "K9": Case("everything at once", 1000, "--power-cut --rate 20"),
    "K10": Case("a worker frozen for 30 s", 500, "--pause worker --hold 30 --every 10 --rate 20"),
}
"""The load leaves the machine some room: recovery under saturation is mostly queueing."""


def run(running: Instance, case: Case, seed: int, share: float) -> dict[str, Any]:
    """Run a case once and return its figures."""
    tasks = max(round(case.tasks * share), 1)
    words = f"chaos run {case.options} --tasks {tasks} --seed {seed} --json".split()
    done = subprocess.run(
        [sys.executable, "-m", "cartrita", *words],
        env=running.environment, capture_output=True, text=True, check=False, timeout=LONGEST,
    )  # fmt: skip
    if not done.stdout:
        raise SystemExit(f"{' '.join(words)}: {done.stderr}")
    found = json.loads(done.stdout)
    return {name: found[name] for name in _KEPT}


def merged(old: Sequence[dict[str, Any]], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the runs of a case by seed, the new one in place of an old one of its seed."""
    return sorted([run for run in old if run["seed"] != new["seed"]] + [new], key=_seed)


def _seed(run: dict[str, Any]) -> int:
    return int(run["seed"])


def totals(cases: dict[str, Any]) -> dict[str, Any]:
    """Return what matters over all runs; by the rule of three, 0 of n is at most 3/n."""
    runs = [run for case in cases.values() for run in case["runs"]]
    accepted = sum(run["accepted"] for run in runs)
    wrong = ("lost", "duplicated", "missing", "overBudget", "violations")
    return {
        "runs": len(runs),
        "accepted": accepted,
        **{name: sum(run[name] or 0 for run in runs) for name in wrong},
        "atMost": round(3 / accepted, 7) if accepted else None,
    }


def kept() -> dict[str, Any]:
    """Return the results of earlier runs."""
    file = RESULTS / "chaos.json"
    return json.loads(file.read_text())["cases"] if file.exists() else {}


def main() -> None:
    """Run the matrix on an instance of its own, saving after each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(CASES), help="cases, separated by commas")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0, help="of each case's tasks")
    chosen = parser.parse_args()
    cases = kept()
    with instance(CHAOS__SINK="true") as running:
        for seed in range(chosen.first, chosen.first + chosen.seeds):
            for name in chosen.only.split(","):
                case, began = CASES[name], time.monotonic()
                found = run(running, case, seed, chosen.share)
                runs = merged(cases.get(name, {}).get("runs", []), found)
                cases[name] = {"what": case.what, "options": case.options, "runs": runs}
                save("chaos", {"totals": totals(cases), "cases": cases})
                told = {key: found[key] for key in ("accepted", "ends", "lost", "duplicated")}
                print(name, seed, f"{time.monotonic() - began:.0f} s", told, flush=True)
                print(*found["failures"], sep="\n", end="", flush=True)
    if any(run["failures"] for case in cases.values() for run in case["runs"]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
