"""How much memory an instance takes, by kind of process, and whether that grows."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, mean

import psutil

from benchmarks.harness import Instance, label

SPAN = 600.0
"""Seconds over which growth is told."""

FEWEST = 3
"""Samples of which growth can be told."""

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


@dataclass(frozen=True)
class Sample:
    """What every process took at some moment: its kind and its size, by number."""

    at: float
    sizes: dict[int, tuple[str, Size]]

    def row(self) -> dict[str, float]:
        """Return it as the fields of a row of a series."""
        total = sum((size for _, size in self.sizes.values()), Size())
        row = {"pss_mb": total.pss, "own_mb": total.own, "rss_mb": total.rss}
        for kind, size in sorted(self.sizes.values(), key=lambda one: one[0]):
            name = kind.replace(" ", "_")
            row[f"own_mb_{name}"] = row.get(f"own_mb_{name}", 0.0) + size.own
            row[f"processes_{name}"] = row.get(f"processes_{name}", 0) + 1
        return {name: round(value, 2) for name, value in row.items()}


def sample(running: Instance, at: float) -> Sample:
    """Look at all processes."""
    found = {}
    for process in running.processes():
        with suppress(psutil.Error):
            size = size_of(process.pid)
            if size.pss:
                found[process.pid] = (label(process), size)
    return Sample(at, found)


def growth(samples: list[Sample]) -> dict[str, dict[str, float]]:
    """Return how much each kind of process grows, and all: least squares over the second half.

    Only processes count that are there throughout: that a pool has one host more is no leak.
    """
    later = samples[len(samples) // 2 :]
    if len(later) < FEWEST:
        return {}
    there = set.intersection(*(set(one.sizes) for one in later))
    kinds = {pid: later[-1].sizes[pid][0] for pid in there}
    found = {"all": _grown(later, there)}
    for kind in sorted(set(kinds.values())):
        found[kind] = _grown(later, {pid for pid in there if kinds[pid] == kind})
    return found


def _grown(samples: list[Sample], pids: set[int]) -> dict[str, float]:
    sums = [sum(one.sizes[pid][1].own for pid in pids) for one in samples]
    grown = linear_regression([one.at for one in samples], sums).slope * SPAN
    size = mean(sums)
    percent = round(100 * grown / max(size, 0.001), 2)
    return {"mb": round(grown, 2), "percent": percent, "of_mb": round(size, 1)}


def too_much(growths: dict[str, dict[str, float]]) -> list[str]:
    """Return what is not flat."""
    return [
        kind
        for kind, one in growths.items()
        if one["percent"] > (MOST if kind == "all" else MOST_EACH) and one["mb"] > LEAST_MB
    ]
