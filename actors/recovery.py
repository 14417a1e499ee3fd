"""What a supervisor's predecessor left, read back a page at a time."""

from collections.abc import AsyncIterator

from actors.cell import Cell
from cartrita.catalog import Catalog
from cartrita.journal import Journal, TaskState, fold

AT_ONCE = 200
"""Tasks that are taken up together."""


async def left_over(journal: Journal) -> AsyncIterator[list[TaskState]]:
    """Yield where the unfinished tasks of a shard stand, oldest first."""
    page: list[TaskState] = []
    async for _, story in journal.unfinished():
        page += [state for state in [fold(story)] if state]
        if len(page) >= AT_ONCE:
            yield page
            page = []
    yield page


def revived(cell: Cell, state: TaskState, catalog: Catalog) -> Cell:
    """Give a new cell the past of its task."""
    spec = catalog.names.get(state.record.task_type)
    cell.accepted, cell.attempts, cell.deaths = True, state.attempts, list(state.deaths)
    cell.fed, cell.spent = bool(spec and spec.takes_stream and cell.attempts), state.spent
    return cell
