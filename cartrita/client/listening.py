"""Reads a task's events from streams that may break, without any I/O."""

import re
from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

import msgpack
from pydantic import ValidationError
from pydantic_core import from_json

from cartrita.client import calls
from cartrita.client.models import TaskEvent
from cartrita.client.patience import Patience
from cartrita.client.steps import Broken, Call, Lost
from cartrita.errors import InternalFailure

Way = Literal["sse", "websocket"]
"""Server-sent events, or the WebSocket."""

LONGEST_EVENT = 16 * 1024 * 1024
"""Bytes; results come by reference long before."""

_BLOCK = re.compile(rb"\r?\n\r?\n")


class Listener:
    """One reader of one task, across as many streams as it takes.

    Args:
        after: The cursor of the last event that the caller knows.
        patience: Forgets its failures whenever the stream shows that it is alive.
        ways: How it is read, in turns.

    Attributes:
        ended: Whether the task has, so that nothing more will come.
    """

    def __init__(
        self,
        task_id: str | UUID,
        after: str | None,
        patience: Patience,
        ways: Sequence[Way] = ("sse",),
    ) -> None:
        self._task_id, self._cursor, self.patience = task_id, after, patience
        self._ways, self._turn = ways, 0
        self._rest = b""
        self.ended = False

    @property
    def way(self) -> Way:
        """How it is read now."""
        return self._ways[self._turn % len(self._ways)]

    def hop(self) -> None:
        """Read it the next way from now on."""
        self._turn += 1

    def call(self) -> Call:
        """Return the call that opens a stream behind what was read so far."""
        self._rest = b""  # what a broken stream had begun to say is said again
        opening = calls.listening if self.way == "sse" else calls.subscription
        return opening(self._task_id, self._cursor)

    def feed(self, part: bytes | str) -> list[TaskEvent]:
        """Return the events that a part of the stream completes, each of them once.

        Raises:
            Broken: The server says that it breaks off.
            InternalFailure: This is no stream of events.
        """
        if self.way == "websocket":
            found = self._told(read_message(part))
        else:
            found = self._read(part.encode() if isinstance(part, str) else part)
        return [event for event in found if self._is_news(event)]

    def _read(self, chunk: bytes) -> list[TaskEvent]:
        *blocks, self._rest = _BLOCK.split(self._rest + chunk)
        if len(self._rest) > LONGEST_EVENT:
            raise _stranger()
        return [event for block in blocks if (event := self._event(block))]

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

    def _told(self, message: dict[str, Any]) -> list[TaskEvent]:
        if message.get("ok") is False:
            why = message.get("error") or {}
            raise Broken(Lost(str(why.get("message") or "The events broke off."), sent=True))
        if "payload" not in message:
            return []
        self.patience.succeeded()
        try:
            return [TaskEvent.model_validate(message["payload"])]
        except ValidationError:
            raise _stranger() from None

    def _is_news(self, event: TaskEvent) -> bool:
        if self._cursor is not None and event.cursor <= self._cursor:
            return False
        self._cursor, self.ended = event.cursor, event.ends
        return True


def read_message(part: bytes | str) -> dict[str, Any]:
    """Read a message of a socket: text is JSON, bytes are MessagePack.

    Raises:
        InternalFailure: It is neither.
    """
    try:
        value = msgpack.unpackb(part) if isinstance(part, bytes) else from_json(part)
    except (ValueError, msgpack.exceptions.UnpackException):
        raise _stranger() from None
    if not isinstance(value, dict):
        raise _stranger()
    return value


def _stranger() -> InternalFailure:
    return InternalFailure("This is no stream of events: check that the address is Cartrita's.")
