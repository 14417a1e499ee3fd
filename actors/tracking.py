"""What one shard counts of its tasks, and tells of them as traces."""

import asyncio
from functools import partial
from typing import Any

from actors.cell import Cell
from actors.pace import Pace
from actors.response import report
from cartrita.catalog import Catalog
from cartrita.clock import Clock
from cartrita.errors import ServiceUnavailable
from cartrita.journal import Stories, fold
from cartrita.protocol.task import TaskStatus
from cartrita.telemetry.metrics import TASKS_STARTED, labelled
from cartrita.telemetry.span import Tracer
from cartrita.trail import Trail, spans

BEFORE = 30.0
"""Seconds before a supervisor's start in which tasks may have ended that nobody told of."""

MOST = 2000
"""Of a shard's last events, so many are looked at for those."""


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
        self.pace = Pace(shard)
        self._retelling: asyncio.Task[None] | None = None

    def take_over(self, stories: Stories, catalog: Catalog) -> None:
        """Tell again of the tasks that ended last: a predecessor died with what it had to tell.

        The spans have the same ids, so that a collector that had them has them once.
        """
        if self._tracer is not None:
            self._retelling = asyncio.create_task(self._retell(self._tracer, stories, catalog))

    async def _retell(self, tracer: Tracer, stories: Stories, catalog: Catalog) -> None:
        try:
            ended = await stories.ended(self._shard, self._clock.now() - BEFORE, MOST)
            for task_id in ended:
                story = await stories.story(task_id)
                state = fold(story)
                if state is None or not state.record.trace:  # forgotten by now
                    continue
                spec = catalog.names.get(state.record.work)
                trail = Trail.of(state.record, spec.agent if spec else "unknown", self._shard, 0.0)
                trail.retell(story)
                self._keep(tracer, trail, trail.ended - trail.asked)
        except ServiceUnavailable:  # then they stay untold
            return

    def close(self) -> None:
        """Tell nothing more of what was before."""
        if self._retelling is not None:
            self._retelling.cancel()

    def of(self, cell: Cell) -> Cell:
        """Begin the trail of a task that came."""
        if self._tracer is not None:
            cell.trail = Trail.of(cell.record, cell.agent, self._shard, self._clock.now())
        return cell

    def accepted(self, cell: Cell) -> None:
        """Note that its acceptance is durable."""
        labelled(TASKS_STARTED, cell.record.task_type, cell.agent).inc()
        self.pace.accepted += 1
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
        self.pace.ended(response, took)
        trail, tracer = cell.trail, self._tracer
        if trail is None or tracer is None or not trail.trace:
            return
        trail.close(self._clock.now(), response)
        match trail.asker:
            case (call, request) if call.gone:
                trail.forsaken = request
        trail.asker = ()
        self._keep(tracer, trail, took)

    def _keep(self, tracer: Tracer, trail: Trail, took: float) -> None:
        failed = trail.special or trail.response["status"] != TaskStatus.COMPLETED
        if tracer.sampling.keeps(trail.trace, took, failed=failed):
            special = failed or took >= tracer.sampling.slow
            tracer.tell(partial(spans, trail), special=special)
