"""What many measurements come to: percentiles, medians of rounds, ratios within rounds."""

from statistics import median
from typing import Any

MEASURED = ("rps", "p50_ms", "p95_ms", "p99_ms", "cpu_us_total")
OURS = {"http": "cartrita-http", "batch": "cartrita-batch"}
"""What the peers are compared with."""

Rounds = list[dict[str, Any]]


def percentiles(latencies: list[float]) -> dict[str, float | None]:
    """Return percentiles in milliseconds of latencies in seconds; None where there are none."""
    rows = sorted(latencies)
    return {
        f"p{share}_ms": round(rows[len(rows) * share // 100] * 1000, 3) if rows else None
        for share in (50, 95, 99)
    }


def medians(rounds: Rounds) -> dict[str, Any]:
    """Return the median of each figure over the rounds that have it, and the sums of counts.

    `tasks_per_core_s` is what a core's whole second would do at that CPU time per task.
    """
    found: dict[str, Any] = {}
    for key in MEASURED:
        values = [row[key] for row in rounds if row.get(key) is not None]
        found[key] = round(median(values), 3) if values else None
    cpu = found["cpu_us_total"]
    found["tasks_per_core_s"] = round(1e6 / cpu, 1) if cpu else None
    return found | {key: sum(row[key] for row in rounds) for key in ("requests", "errors")}


def ratio(ours: Rounds, theirs: Rounds, key: str) -> float | None:
    """Return the median, over rounds that both have, of ours divided by theirs."""
    pairs = [(a.get(key), b.get(key)) for a, b in zip(ours, theirs, strict=False)]
    values = [a / b for a, b in pairs if a is not None and b]
    return round(median(values), 3) if values else None


def ratios(subjects: dict[str, Rounds]) -> dict[str, dict[str, float | None]]:
    """Compare what Cartrita does by HTTP and by batch with each peer, in the same cell.

    A rate above 1 is Cartrita's advantage, a CPU time above 1 its disadvantage.
    """
    found: dict[str, dict[str, float | None]] = {}
    for name, rounds in subjects.items():
        if name in OURS.values():
            continue
        found[name] = {
            f"{way}_{key}": ratio(subjects[ours], rounds, key)
            for way, ours in OURS.items()
            for key in ("rps", "cpu_us_total")
            if ours in subjects
        }
    return found
