"""Reads back what the metrics of this node have counted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from cartrita.telemetry.metrics import (
    CACHE_LOOKUPS,
    REGISTRY,
    TASK_DURATION,
    TASKS_COMPLETED,
    TASKS_FAILED,
)

GIVEN = ("memory", "valkey", "meaning", "running")
"""Outcomes of a look that found an answer."""


@dataclass(slots=True)
class Tally:
    """Tasks since this node's processes began to count.

    Attributes:
        seconds: From acceptance to the end, of all together.
        given: Of those whose answer may be kept: answered with one that was kept.
        looked: Of those: looked for among the answers kept.
        by_type: How many ended, of each type.
    """

    completed: int = 0
    failed: int = 0
    seconds: float = 0.0
    given: int = 0
    looked: int = 0
    by_type: dict[str, int] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """How many there were."""
        return self.completed + self.failed

    @property
    def success(self) -> float | None:
        """The part that completed, from 0 to 1; None before the first."""
        return self.completed / self.ended if self.ended else None

    @property
    def mean_seconds(self) -> float | None:
        """What one took; None before the first."""
        return self.seconds / self.ended if self.ended else None


def tally(folder: Path | None, counts: Callable[[str], bool]) -> Tally:
    """Add up what was counted of some task types.

    Args:
        folder: What the node's processes share; None reads this process alone.
        counts: Whether a task type does.
    """
    registry = REGISTRY
    if folder is not None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    found = Tally()
    for family in registry.collect():
        for sample in family.samples:
            task_type = sample.labels.get("task_type", "")
            if counts(task_type):
                _add(found, sample.name, task_type, sample.labels.get("outcome"), sample.value)
    return found


def _add(found: Tally, name: str, task_type: str, outcome: str | None, value: float) -> None:
    if name == _total(TASKS_COMPLETED):
        found.completed += int(value)
    elif name == _total(TASKS_FAILED):
        found.failed += int(value)
    elif name == f"{TASK_DURATION._name}_sum":  # noqa: SLF001 - it has no public name
        found.seconds += value
        return
    elif name == _total(CACHE_LOOKUPS):
        found.given += int(value) if outcome in GIVEN else 0
        found.looked += int(value)
        return
    else:
        return
    found.by_type[task_type] = found.by_type.get(task_type, 0) + int(value)


def _total(counter: object) -> str:
    return f"{counter._name}_total"  # type: ignore[attr-defined]  # noqa: SLF001
