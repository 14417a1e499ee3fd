"""What happened between two looks at the tree, team by team."""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any

Tree = dict[str, Any]

ALL = "all"
HOUR = 3600.0
_HIGH = 0.95


def teams(found: Tree, before: Tree, seconds: float) -> list[dict[str, Any]]:
    """Return a row for each team, and one for all together where there are several.

    What nobody knows is None: rates need two looks, and a supervisor that started between them
    has none. Ordinary users are told of loads alone.

    Args:
        found: As `GET /v3/tree` gives it.
        before: The same, earlier; empty for the first look.
        seconds: Between the two.
    """
    shards = found.get("supervisors") or []
    known = {shard["id"]: shard for shard in before.get("supervisors") or []}
    by_team = groupby(sorted(shards, key=_team), _team)
    rows = [_row(team, list(members), known, seconds) for team, members in by_team]
    return [*rows, _row(ALL, shards, known, seconds)] if len(rows) > 1 else rows


def _team(shard: dict[str, Any]) -> str:
    return str(shard["id"]).partition("/")[0]


def _row(
    name: str, shards: list[dict[str, Any]], known: dict[str, Any], seconds: float
) -> dict[str, Any]:
    sums: Counter[str] = Counter()
    classes: Counter[float | None] = Counter()
    compared = 0
    for shard in shards:
        earlier = known.get(shard["id"], {})
        if shard.get("pace") and earlier.get("pace") and _same(shard, earlier):
            compared += 1
            sums.update(_grown(shard["pace"], earlier["pace"]))
            sums.update(_grown(shard["journal"], earlier["journal"]))
            classes.update(dict(shard["pace"]["seconds"]))
            classes.subtract(dict(earlier["pace"]["seconds"]))
    row = {
        "name": name,
        "state": _state(shards),
        "waiting": sum(shard.get("queueDepth") or 0 for shard in shards),
        "running": sum(shard.get("inFlight") or 0 for shard in shards),
        "capacity": sum(shard.get("capacity") or 0 for shard in shards),
        "memoryBytes": sum(_memory(shard) for shard in shards) or None,
        "journalWaiting": sum((s.get("journal") or {}).get("waiting", 0) for s in shards),
    }
    return row | (_rates(sums, classes, seconds) if compared and seconds > 0 else _UNKNOWN)


_UNKNOWN: dict[str, Any] = dict.fromkeys(
    ("tasksPerSecond", "failedPerSecond", "p95Ms", "usdPerHour", "tokensPerSecond",
     "journalBatch", "journalMs")
)  # fmt: skip


def _rates(sums: Counter[str], classes: Counter[float | None], seconds: float) -> dict[str, Any]:
    ended = sums["completed"] + sums["failed"] + sums["cancelled"]
    batches = sums["batches"]
    return {
        "tasksPerSecond": round(ended / seconds, 2),
        "failedPerSecond": round(sums["failed"] / seconds, 2),
        "p95Ms": _percentile(classes),
        "usdPerHour": round(sums["costUsd"] / seconds * HOUR, 6),
        "tokensPerSecond": round(sums["tokens"] / seconds, 2),
        "journalBatch": round(sums["entries"] / batches, 1) if batches else None,
        "journalMs": round(sums["seconds"] / batches * 1000, 2) if batches else None,
    }


def _percentile(classes: Counter[float | None]) -> float | None:
    """Return the upper bound, in milliseconds, of the class in which 95 of 100 have ended."""
    bounded = sorted((bound, count) for bound, count in classes.items() if bound is not None)
    so_far, wanted = 0, _HIGH * classes.total()
    for bound, count in bounded:
        so_far += count
        if count and so_far >= wanted:
            return round(bound * 1000, 1)
    return None


def _same(shard: dict[str, Any], earlier: dict[str, Any]) -> bool:
    """Tell whether it is still the same process, whose sums go on."""
    return all(shard.get(name) == earlier.get(name) for name in ("epoch", "pid"))


def _grown(sums: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value - earlier[name]
        for name, value in sums.items()
        if isinstance(value, int | float) and name != "waiting"
    }


def _state(shards: list[dict[str, Any]]) -> str:
    """Return the state of all: `up`, or that of the first that is not."""
    return next((str(s.get("state")) for s in shards if s.get("state") != "up"), "up")


def _memory(shard: dict[str, Any]) -> int:
    return sum(row.get("memoryBytes") or 0 for row in _processes(shard))


def _processes(shard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield shard
    yield from shard.get("hosts") or []
