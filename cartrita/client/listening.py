"""Reads a task's events from a stream that may break, without any I/O."""

import re
from uuid import UUID

from pydantic import ValidationError

from cartrita.client import calls
from cartrita.client.models import TaskEvent
from cartrita.client.patience import Patience
from cartrita.client.steps import Call
from cartrita.errors import InternalFailure

LONGEST_EVENT = 16 * 1024 * 1024
"""Bytes; results come by reference long before."""

_BLOCK = re.compile(rb"\r?\n\r?\n")


class Listener:
    """One reader of one task, across as many streams as it takes.

    Args:
        after: The cursor of the last event that the caller knows.
        patience: Forgets its failures whenever the stream shows that it is alive.

    Attributes:
        ended: Whether the task has, so that nothing more will come.
    """

    def __init__(self, task_id: str | UUID, after: str | None, patience: Patience) -> None:
        self._task_id, self._cursor, self.patience = task_id, after, patience
        self._rest = b""
        self.ended = False

    def call(self) -> Call:
        """Return the call that opens a stream behind what was read so far."""
        self._rest = b""  # what a broken stream had begun to say is said again
        return calls.listening(self._task_id, self._cursor)

    def feed(self, chunk: bytes) -> list[TaskEvent]:
        """Return the events that a part of the stream completes, each of them once.

        Raises:
            InternalFailure: This is no stream of events.
        """
        *blocks, self._rest = _BLOCK.split(self._rest + chunk)
        if len(self._rest) > LONGEST_EVENT:
            raise _stranger()
        found = [event for block in blocks if (event := self._event(block))]
        return [event for event in found if self._is_news(event)]

    def _event(self, block: bytes) -> TaskEvent | None:
        lines = block.splitlines()
        if lines and lines[0].startswith(b":"):
            self.patience.succeeded()
        data = b"\n".join(line[5:].strip() for line in lines if line.startswith(b"data:"))
        if not data:
            return None
        self.patience.succeeded()
        try:
            return TaskEvent.model_validate_json(data)
        except ValidationError:
            raise _stranger() from None

    def _is_news(self, event: TaskEvent) -> bool:
        if self._cursor is not None and event.cursor <= self._cursor:
            return False
        self._cursor, self.ended = event.cursor, event.ends
        return True


def _stranger() -> InternalFailure:
    return InternalFailure("This is no stream of events: check that the address is Cartrita's.")
