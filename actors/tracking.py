"""What one shard counts of its tasks, and tells of them as traces."""

from functools import partial
from typing import Any

from actors.cell import Cell
from actors.response import report
from cartrita.clock import Clock
from cartrita.protocol.task import TaskStatus
from cartrita.telemetry.metrics import TASKS_STARTED, labelled
from cartrita.telemetry.span import Tracer
from cartrita.trail import Trail, spans


class Tracking:
    """Counts tasks; keeps a trail of each live one, and has it told when that has ended.

    Hosts tell nothing themselves: what they did comes back with their outcomes, so that the
    death of one costs no spans.

    Args:
        shard: Whose tasks.
        tracer: Without one there are no trails.
    """

    def __init__(self, shard: str, clock: Clock, tracer: Tracer | None) -> None:
        self._shard, self._clock, self._tracer = shard, clock, tracer

    def of(self, cell: Cell) -> Cell:
        """Begin the trail of a task that came."""
        if self._tracer is not None:
            cell.trail = Trail.of(cell.record, cell.agent, self._shard, self._clock.now())
        return cell

    def accepted(self, cell: Cell) -> None:
        """Note that its acceptance is durable."""
        labelled(TASKS_STARTED, cell.record.task_type, cell.agent).inc()
        if cell.trail is not None:
            cell.trail.accepted = self._clock.now()

    def ending(self, cell: Cell, at: float) -> None:
        """Note that its end goes to the journal."""
        if cell.trail is not None:
            cell.trail.ending = at

    def ended(self, cell: Cell, response: dict[str, Any]) -> None:
        """Tell of a task whose end is durable, if its trace is one that is kept."""
        took = self._clock.monotonic() - cell.since
        report(cell.record.task_type, cell.agent, response, took)
        trail, tracer = cell.trail, self._tracer
        if trail is None or tracer is None or not trail.trace:
            return
        failed = response["status"] != TaskStatus.COMPLETED
        if tracer.sampling.keeps(trail.trace, took, failed=failed):
            trail.close(self._clock.now(), response)
            special = failed or took >= tracer.sampling.slow
            tracer.tell(partial(spans, trail), special=special)
