"""A task's log as readers see it: what became of it and what its agent said, in one order.

The step of an entry is the attempt and a place within it, so it grows with time:

    0                   accepted
    1                   queued
    attempt << 32       reset: forget what earlier attempts said (not before the first)
    attempt << 32 | 1   started
    attempt << 32 | 2…  progress, token, tool, and retry at the end of an attempt that was lost
    1 << 62             completed, failed, cancelled or timeout

Not each of these is a row of its own in the journal: what follows from another is told from
that, always in the same way, so that a cursor means the same to every reader.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from cartrita.errors import InvalidParameters
from cartrita.journal import ATTEMPT_SHIFT, END_STEP, Event, EventKind

SAID = frozenset({"progress", "token", "tool", "approval"})
"""The types of what an agent says."""

QUEUED_STEP = 1
STARTED = 1
"""The place of `started` within its attempt."""

TYPE_OF = {
    EventKind.COMPLETED: "completed",
    EventKind.FAILED: "failed",
    EventKind.CANCELLED: "cancelled",
    EventKind.TIMEOUT: "timeout",
}
END = "end"
_CURSOR_DIGITS = 16
_PLACE = re.compile(r"([0-9]{1,10})\.([0-9]{1,10})")


class Entry(NamedTuple):
    """One line of a task's log.

    Attributes:
        step: Its place.
        type: `accepted`, `queued`, `started`, `progress`, `token`, `tool`, `retry`, `reset`,
            `completed`, `failed`, `cancelled` or `timeout`.
        at: Unix seconds.
    """

    step: int
    type: str
    at: float
    data: Any


def cursor_of(step: int) -> str:
    """Return the opaque text by which clients name a place; it sorts as the places do."""
    return f"{step:0{_CURSOR_DIGITS}x}"


def step_of(cursor: str | None, name: str = "cursor") -> int:
    """Return the step behind which a reader goes on; None begins at the beginning.

    Args:
        cursor: As an event has it.
        name: The field in which it came.

    Raises:
        InvalidParameters: No task has such a cursor.
    """
    if cursor is None:
        return -1
    try:
        step = int(cursor, 16) if len(cursor) == _CURSOR_DIGITS else -1
    except ValueError:
        step = -1
    if not 0 <= step <= END_STEP:
        raise InvalidParameters(
            f"{cursor!r} is no cursor of an event.", fields=[(name, "is not a cursor")]
        )
    return step


def place_of(cursor: str) -> str:
    """Return a cursor as people read it: attempt and place, such as `1.3`, or `end`."""
    step = step_of(cursor)
    if step == END_STEP:
        return END
    return f"{step >> ATTEMPT_SHIFT}.{step & (1 << ATTEMPT_SHIFT) - 1}"


def cursor_at(place: str) -> str:
    """Return the cursor that people write as `place_of` does; any other text as it is."""
    if place == END:
        return cursor_of(END_STEP)
    found = _PLACE.fullmatch(place)
    return cursor_of(int(found[1]) << ATTEMPT_SHIFT | int(found[2])) if found else place


def opening(record_at: float) -> list[Entry]:
    """Return what every accepted task's log begins with."""
    return [Entry(0, "accepted", record_at, None), Entry(QUEUED_STEP, "queued", record_at, None)]


def beginning(attempt: int, at: float) -> list[Entry]:
    """Return what every attempt's log begins with."""
    base = attempt << ATTEMPT_SHIFT
    started = Entry(base | STARTED, "started", at, None)
    return [Entry(base, "reset", at, None), started] if attempt > 1 else [started]


def narrate(story: Sequence[Event], after: int = -1) -> list[Entry]:
    """Return the log of a task behind a step, from its durable story."""
    return [entry for entry in _all(story) if entry.step > after]


def _all(story: Sequence[Event]) -> Iterator[Entry]:
    begun, latest = 0, 0.0
    for event in story:
        if event.kind is EventKind.ACCEPTED:
            yield from opening(event.at)
            latest = event.at
            continue
        attempt = _attempt(event)
        if attempt > begun:
            begun = attempt
            started = event.kind is EventKind.STARTED  # else it follows from something later
            at = event.at if started else max(_began(event), latest)
            yield from beginning(attempt, at)
        latest = event.at
        yield from _told(event)


def _attempt(event: Event) -> int:
    """Return the attempt that an event proves to have begun; 0 for none."""
    if not event.kind.terminal:
        return event.step >> ATTEMPT_SHIFT
    metrics = event.data.get("metrics") or {}
    ran = metrics.get("processingTimeMs", 0) > 0
    return int(metrics.get("retryCount", 0)) + 1 if ran else 0


def _began(event: Event) -> float:
    """Return when the attempt began, as far as the first row that proves that can tell."""
    if event.kind.terminal:
        return event.at - float(event.data["metrics"]["processingTimeMs"]) / 1000
    if event.kind is EventKind.USED:
        at, _, data = event.data[0]
        return float(at - (data or {}).get("durationMs", 0.0) / 1000)
    return event.at


def _told(event: Event) -> Iterator[Entry]:
    if event.kind is EventKind.STREAM:
        for step, kind, at, data in event.data:
            yield Entry(step, kind, at, data)
    elif event.kind is EventKind.RETRY:
        yield Entry(event.step, "retry", event.at, event.data)
    elif event.kind.terminal:
        yield Entry(event.step, TYPE_OF[event.kind], event.at, event.data)


def to_wire(task_id: str, entry: Entry, at: str) -> dict[str, Any]:
    """Return an entry as clients see it; `at` is its time as ISO-8601."""
    ended = entry.step >= END_STEP
    return {
        "cursor": cursor_of(entry.step),
        "taskId": task_id,
        "attempt": None if ended else entry.step >> ATTEMPT_SHIFT,
        "type": entry.type,
        "at": at,
        "data": entry.data,
    }
