"""How a task comes into a supervisor's memory: new, or from what its predecessor left."""

from collections.abc import AsyncIterator

from actors.cell import Cell
from cartrita.catalog import Catalog
from cartrita.declare import TaskSpec
from cartrita.journal import Event, Journal, TaskRecord, TaskState, fold

AT_ONCE = 200
"""Tasks that are taken up together."""

Standing = tuple[TaskState, float, list[Event]]
"""Where a task stands, how full the fullest budget above it is, and its story."""


def fresh(record: TaskRecord, spec: TaskSpec | None, since: float, weight: float) -> Cell:
    """Return the cell of a task that nothing has happened to yet.

    Args:
        record: The task.
        spec: What does its work; None when that is gone since an upgrade.
        since: When it came, in monotonic seconds.
        weight: Seconds of work it is expected to take.
    """
    if spec is None:
        return Cell(record, "unknown", since)
    if record.carrier:
        return Cell(record, record.carrier.agent, since, weight, record.carrier.safe)
    return Cell(record, spec.agent, since, weight, spec.safe, bool(spec.effects))


async def left_over(journal: Journal) -> AsyncIterator[list[Standing]]:
    """Yield where the unfinished tasks of a shard stand, oldest first."""
    page: list[Standing] = []
    async for _, story, pressure in journal.unfinished():
        page += [(state, pressure, story) for state in [fold(story)] if state]
        if len(page) >= AT_ONCE:
            yield page
            page = []
    yield page


def revived(cell: Cell, standing: Standing, catalog: Catalog) -> Cell:
    """Give a new cell the past of its task."""
    state, cell.pressure, story = standing
    spec = catalog.names.get(state.record.work)
    cell.accepted, cell.attempts, cell.deaths = True, state.attempts, list(state.deaths)
    cell.fed, cell.spent = bool(spec and spec.takes_stream and cell.attempts), state.spent
    if cell.trail:
        cell.trail.recall(story)
    return cell
