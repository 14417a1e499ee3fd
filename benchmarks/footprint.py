"""How much memory an instance takes, by kind of process, and whether that grows."""

from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, mean
from typing import Any

import psutil

from benchmarks.harness import Instance, label

SPAN = 600.0
"""Seconds over which growth is told."""

MOST, MOST_EACH, LEAST_MB = 5.0, 10.0, 5.0
"""Growth in % over `SPAN` from which on memory is not flat: of all together, and of one kind of
process, unless that is less than so many MB."""


@dataclass(frozen=True)
class Size:
    """Megabytes of one kind of process.

    Attributes:
        pss: Proportional set size.
        own: The same without shared memory: the database's buffers and Ray's object store, which
            fill up to a size that is configured.
        rss: Resident set size, in which what processes share is counted for each.
    """

    pss: float = 0.0
    own: float = 0.0
    rss: float = 0.0

    def __add__(self, other: "Size") -> "Size":
        return Size(self.pss + other.pss, self.own + other.own, self.rss + other.rss)


def size_of(pid: int) -> Size:
    """Return what one process takes; nothing when it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return Size()
    fields = dict(line.split()[:2] for line in text.splitlines()[1:])
    mb = {name: int(kb) / 1000 for name, kb in fields.items()}
    return Size(mb["Pss:"], mb["Pss:"] - mb.get("Pss_Shmem:", 0.0), mb["Rss:"])


def footprint(running: Instance) -> dict[str, Size]:
    """Return the sizes by kind of process."""
    found: dict[str, Size] = {}
    for process in running.processes():
        try:
            kind = label(process)
        except psutil.Error:
            continue
        found[kind] = found.get(kind, Size()) + size_of(process.pid)
    return {kind: size for kind, size in found.items() if size.pss}


def flat(sizes: dict[str, Size]) -> dict[str, float]:
    """Return sizes as the fields of a row of a series."""
    total = sum(sizes.values(), Size())
    row = {"pss_mb": total.pss, "own_mb": total.own, "rss_mb": total.rss}
    row |= {f"own_mb_{kind.replace(' ', '_')}": size.own for kind, size in sizes.items()}
    return {name: round(value, 2) for name, value in row.items()}


def growth(rows: list[dict[str, Any]], key: str) -> dict[str, float]:
    """Return how much a field of a series grows: least squares over its second half."""
    later = [row for row in rows[len(rows) // 2 :] if key in row]
    if len(later) < 3:
        return {"mb": 0.0, "percent": 0.0}
    sizes = [row[key] for row in later]
    slope = linear_regression([row["at_s"] for row in later], sizes).slope
    grown = slope * SPAN
    return {"mb": round(grown, 2), "percent": round(100 * grown / max(mean(sizes), 0.001), 2)}


def grown(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the growth of all, and of every kind of process."""
    keys = sorted({key for row in rows for key in row if key.startswith("own_mb")})
    return {key: growth(rows, key) for key in keys}


def too_much(growths: dict[str, dict[str, float]]) -> list[str]:
    """Return what is not flat."""
    return [
        key
        for key, one in growths.items()
        if one["percent"] > (MOST if key == "own_mb" else MOST_EACH) and one["mb"] > LEAST_MB
    ]
