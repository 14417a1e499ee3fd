"""Runs the races for many seeds: python -m tests.races [--seeds 200] [--first 1] [--save FILE]."""

# ruff: noqa: T201 - a program that prints

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.races.scenarios import SCENARIOS, race
from tests.support.database import running_services


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--only", choices=SCENARIOS)
    parser.add_argument("--save", type=Path)
    chosen = parser.parse_args()
    wrong, found = [], {}
    with tempfile.TemporaryDirectory(prefix="ctraces-") as folder, \
            running_services(Path(folder)) as services:  # fmt: skip
        url = services.postgres.tcp_url
        for name, scenario in SCENARIOS.items():
            if chosen.only in (None, name):
                totals, began = Counter(), time.monotonic()
                for seed in range(chosen.first, chosen.first + chosen.seeds):
                    try:
                        totals.update(asyncio.run(race(scenario, url, seed)))
                    except Exception as error:  # noqa: BLE001 - every seed is told
                        wrong.append(f"{name} {seed}")
                        print(f"{name}, seed {seed}: {error!r}")
                took = round(time.monotonic() - began, 1)
                found[name] = {"seeds": chosen.seeds, "seconds": took, **totals}
                print(name, found[name], flush=True)
    print(f"{len(wrong)} wrong" + (f": {', '.join(wrong)}" if wrong else ""))
    if chosen.save:
        machine = {"when": time.strftime("%Y-%m-%d"), "cores": os.cpu_count()}
        told = {"machine": machine, "first": chosen.first, "wrong": wrong, "scenarios": found}
        chosen.save.write_text(json.dumps(told, indent=1) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
