"""Reads back what the metrics of this node have counted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.multiprocess import MultiProcessCollector

from cartrita.telemetry.metrics import (
    CACHE_LOOKUPS,
    COST_INCURRED,
    REGISTRY,
    TASK_DURATION,
    TASKS_COMPLETED,
    TASKS_FAILED,
    TASKS_STARTED,
    TOKENS_USED,
    write,
)

GIVEN = ("memory", "valkey", "meaning", "running", "elsewhere")
"""Outcomes of a look that found an answer."""


@dataclass(slots=True)
class Tally:
    """Tasks since this node's processes began to count.

    Attributes:
        started: Accepted by a supervisor.
        seconds: From acceptance to the end, of all that ended.
        given: Answered with an answer that was kept.
        missed: Looked for among those and not found.
    """

    started: int = 0
    completed: int = 0
    failed: int = 0
    seconds: float = 0.0
    given: int = 0
    missed: int = 0
    tokens: int = 0
    usd: float = 0.0

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

    def count(self, counter: str, value: float) -> None:
        """Add to one of them."""
        known = getattr(self, counter)
        setattr(self, counter, known + type(known)(value))


def together(tallies: Iterable[Tally]) -> Tally:
    """Add several up."""
    whole = Tally()
    for one in tallies:
        for counter in fields(Tally):
            whole.count(counter.name, getattr(one, counter.name))
    return whole


def tally(folder: Path | None) -> Mapping[str, Tally]:
    """Return what was counted of each task type.

    Args:
        folder: What the node's processes share; None reads this process alone.
    """
    registry = REGISTRY
    if folder is not None:
        write()
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    found: dict[str, Tally] = {}
    for family in registry.collect():
        for sample in family.samples:
            counter, task_type = _counter(sample), sample.labels.get("task_type")
            if counter and task_type:
                found.setdefault(task_type, Tally()).count(counter, sample.value)
    return found


def _counter(sample: Any) -> str | None:
    """Return what a metric's sample counts here."""
    if sample.name != _LOOKUPS:
        return _SAMPLES.get(sample.name)
    outcome = sample.labels["outcome"]
    return "given" if outcome in GIVEN else "missed" if outcome == "missed" else None


def _total(counter: Counter) -> str:
    return f"{counter._name}_total"  # noqa: SLF001 - it has no public name


_LOOKUPS = _total(CACHE_LOOKUPS)
_SAMPLES = {
    _total(TASKS_STARTED): "started",
    _total(TASKS_COMPLETED): "completed",
    _total(TASKS_FAILED): "failed",
    _total(TOKENS_USED): "tokens",
    _total(COST_INCURRED): "usd",
    f"{TASK_DURATION._name}_sum": "seconds",  # noqa: SLF001
}
