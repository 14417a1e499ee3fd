"""How fast one shard is: sums that only grow, from which two looks make rates."""

from bisect import bisect_left
from collections import defaultdict
from typing import Any

from cartrita.protocol.task import TaskStatus
from cartrita.telemetry.metrics import (
    JOURNAL_ENTRIES,
    JOURNAL_SECONDS,
    JOURNAL_WAITING,
    labelled,
    resident,
)

_FIRST, _GROWTH = 0.001, 1.25
BOUNDS = [_FIRST * _GROWTH**step for step in range(74)]
"""Upper bounds of the classes that tasks' seconds are counted in: 1 ms to over three hours.
Each is a quarter more than the last, which is how wrong a percentile may be."""

_WELL, _CANCELLED = TaskStatus.COMPLETED.value, TaskStatus.CANCELLED.value


class Pace:
    """What a supervisor has done since its process began."""

    def __init__(self, shard: str) -> None:
        self._shard = shard
        self.accepted = self._completed = self._failed = self._cancelled = self._tokens = 0
        self._usd = 0.0
        self._classes = [0] * (len(BOUNDS) + 1)

    def ended(self, response: dict[str, Any], took: float) -> None:
        """Count a task that ended, so many seconds after it had come."""
        status, metrics = response["status"], response["metrics"]
        if status == _WELL:
            self._completed += 1
        elif status == _CANCELLED:
            self._cancelled += 1
        else:
            self._failed += 1
        self._usd += metrics["costUsd"]
        self._tokens += metrics["tokensUsed"]
        self._classes[bisect_left(BOUNDS, took)] += 1

    def figures(self) -> dict[str, Any]:
        """Return what `GET /v3/tree` shows of it, and of the process."""
        classes = [
            [round(BOUNDS[place], 6) if place < len(BOUNDS) else None, count]
            for place, count in enumerate(self._classes)
            if count
        ]
        return {
            "memoryBytes": resident(),
            "pace": {
                "accepted": self.accepted,
                "completed": self._completed,
                "failed": self._failed,
                "cancelled": self._cancelled,
                "costUsd": round(self._usd, 9),
                "tokens": self._tokens,
                "seconds": classes,
            },
            "journal": self._journal(),
        }

    def _journal(self) -> dict[str, Any]:
        """Return what its writer has counted, which keeps no sums beside its metrics."""
        batches = _read(labelled(JOURNAL_SECONDS, self._shard))
        return {
            "batches": int(batches["_count"]),
            "seconds": round(batches["_sum"], 6),
            "entries": int(_read(labelled(JOURNAL_ENTRIES, self._shard))["_total"]),
            "waiting": int(_read(labelled(JOURNAL_WAITING, self._shard))[""]),
        }


def _read(metric: Any) -> dict[str, float]:
    """Return the values of one metric's child in this process, by the ends of their names.

    Where nothing is counted they are 0.
    """
    found = {
        sample.name.removeprefix(family.name): sample.value
        for family in metric.collect()
        for sample in family.samples
    }
    return defaultdict(float, found)
