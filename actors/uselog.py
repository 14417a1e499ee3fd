"""What one live task used, on its way to the journal; readers are not shown it."""

import asyncio
from collections.abc import Callable
from typing import Any

from cartrita.channel.frames import pack
from cartrita.journal import USED_PLACE, Event, EventKind

FLUSH_AFTER = 0.25
"""Seconds for which a use may be in memory only; an attempt that ends before writes it, too."""

FLUSH_BYTES = 32 * 1024


class UseLog:
    """The uses of one live task, written a few at a time.

    Args:
        task_id: Whose.
        append: Writes to the journal.
        now: Returns Unix seconds.
    """

    def __init__(
        self,
        task_id: str,
        append: Callable[[Event], asyncio.Future[bool]],
        now: Callable[[], float],
    ) -> None:
        self._task_id, self._append, self._now = task_id, append, now
        self._rows: list[list[Any]] = []
        self._size = self._attempt = self._written = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, attempt: int, row: list[Any]) -> None:
        """Take a use; those of an earlier attempt must have been flushed."""
        if attempt != self._attempt:
            self._attempt, self._written = attempt, 0
        self._rows.append([self._now(), *row])
        self._size += len(pack(row))
        if self._size >= FLUSH_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_AFTER, self.flush)

    def flush(self) -> None:
        """Give to the journal what it has not yet."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if not self._rows:
            return
        rows, self._rows, self._size = self._rows, [], 0
        place = USED_PLACE + self._written
        self._written += 1
        event = Event.within(self._task_id, self._attempt, place, EventKind.USED, rows)
        # What a fenced writer knows is nobody's any more.
        self._append(event).add_done_callback(asyncio.Future.exception)
