"""What becomes of a task whose attempt is over."""

from typing import Any

from actors.cell import Cell
from actors.response import (
    attempt_lost,
    attempt_told,
    charged,
    in_doubt,
    quarantined,
    respond,
)
from cartrita.effects import State

KILLS = 3
"""A task that kills its host so often while alone with it is quarantined."""


def fate(cell: Cell) -> dict[str, Any] | None:
    """Return the end of a task whose host died; None to run it again."""
    record, alone = cell.record, sum(cell.deaths)
    if not cell.repeatable:
        return lost_for_good(cell)
    if alone >= KILLS:
        return quarantined(record, alone)
    if alone >= record.max_attempts or (cell.deaths and record.max_attempts == 1):
        return attempt_lost(record, repeatable=True)
    return None


def lost_for_good(cell: Cell) -> dict[str, Any]:
    """Return the end of a task that had started, lost its host, and may not run again."""
    if cell.ledgered and not cell.effects(State.UNKNOWN):
        return attempt_told(cell.effects(State.DONE))
    return attempt_lost(cell.record, repeatable=False)


def told(cell: Cell, outcome: dict[str, Any], now: float) -> dict[str, Any]:
    """Return the response that a task ends with.

    Args:
        cell: The task.
        outcome: Of its last attempt.
        now: In monotonic seconds.
    """
    outcome = in_doubt(charged(outcome, cell.spent), cell.effects(State.UNKNOWN))
    queued = (cell.began or now) - cell.since
    return respond(cell.record, outcome, queued=queued, attempts=cell.attempts)
