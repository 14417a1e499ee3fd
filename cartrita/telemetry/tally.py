"""Reads back what the metrics of this node have counted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
    """

    completed: int = 0
    failed: int = 0
    seconds: float = 0.0
    given: int = 0
    looked: int = 0

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

    def count(self, sample: str, outcome: str, value: float) -> None:
        """Add what a metric's sample says of tasks of one type."""
        if sample == _COMPLETED:
            self.completed += int(value)
        elif sample == _FAILED:
            self.failed += int(value)
        elif sample == _SECONDS:
            self.seconds += value
        elif sample == _LOOKED:
            self.looked += int(value)
            self.given += int(value) if outcome in GIVEN else 0


def together(tallies: Iterable[Tally]) -> Tally:
    """Add several up."""
    whole = Tally()
    for one in tallies:
        whole.completed += one.completed
        whole.failed += one.failed
        whole.seconds += one.seconds
        whole.given += one.given
        whole.looked += one.looked
    return whole


def tally(folder: Path | None) -> Mapping[str, Tally]:
    """Return what was counted of each task type.

    Args:
        folder: What the node's processes share; None reads this process alone.
    """
    registry = REGISTRY
    if folder is not None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    found: dict[str, Tally] = {}
    for family in registry.collect():
        for sample in family.samples:
            task_type = sample.labels.get("task_type")
            if task_type and sample.name in _SAMPLES:
                outcome = sample.labels.get("outcome", "")
                found.setdefault(task_type, Tally()).count(sample.name, outcome, sample.value)
    return found


_COMPLETED, _FAILED, _LOOKED = (
    f"{counter._name}_total"  # noqa: SLF001 - it has no public name
    for counter in (TASKS_COMPLETED, TASKS_FAILED, CACHE_LOOKUPS)
)
_SECONDS = f"{TASK_DURATION._name}_sum"  # noqa: SLF001
_SAMPLES = (_COMPLETED, _FAILED, _LOOKED, _SECONDS)
