"""How much memory does a quiet instance take? Sums the proportional set size (PSS)."""

import time

from rich.console import Console
from rich.table import Table

from benchmarks.harness import instance, label, save

SETTLE = 20
"""Seconds after the start, by which Ray's own processes have settled."""


def main() -> None:
    """Print a table by kind of process."""
    with instance() as running:
        time.sleep(SETTLE)
        kinds: dict[str, list[float]] = {}
        for process in running.processes():
            kinds.setdefault(label(process), []).append(process.memory_full_info().pss / 1e6)
    table = Table("what", "processes", "PSS, MB")
    for kind, sizes in sorted(kinds.items(), key=lambda item: -sum(item[1])):
        table.add_row(kind, str(len(sizes)), f"{sum(sizes):.0f}")
    total = sum(map(sum, kinds.values()))
    table.add_row("all", str(sum(map(len, kinds.values()))), f"{total:.0f}")
    Console(width=80).print(table)
    save(
        "memory",
        {
            "pss_mb": {kind: round(sum(sizes)) for kind, sizes in kinds.items()},
            "total": round(total),
        },
    )


if __name__ == "__main__":
    main()
