"""Runs seeds from the command line."""

# ruff: noqa: T201 - a program that prints

import argparse
import sys
import time

from tests.simulator.simulation import simulate


def main() -> int:
    """Run them and say which are wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator")
    parser.add_argument("--seeds", type=int, default=2000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--verbose", action="store_true", help="tell what happens")
    chosen = parser.parse_args()
    first = chosen.first if chosen.seed is None else chosen.seed
    seeds = range(first, first + (chosen.seeds if chosen.seed is None else 1))
    began, wrong = time.process_time(), 0
    for seed in seeds:
        outcome = simulate(seed, verbose=chosen.verbose)
        if chosen.verbose:
            print(*outcome.lines, sep="\n")
        if outcome.wrong:
            wrong += 1
            print(outcome, flush=True)
        if chosen.seed is not None:
            print(f"{outcome.elapsed:.3f} virtual seconds, trace {outcome.digest}")
    spent = time.process_time() - began
    each = 1000 * spent / len(seeds)
    print(f"{len(seeds)} seeds, {wrong} wrong, {spent:.1f} s of CPU ({each:.1f} ms each)")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
