"""The keeper's end of the pair of sockets."""

import json
import selectors
import socket
from typing import Any

_LONGEST_LINE = 1 << 20
_UNREAD_BYTES = 1 << 20
_CHUNK = 1 << 16


class OwnerLine:
    """The keeper's end of the socket pair; never blocks on a slow owner."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._end.setblocking(False)
        self._incoming = bytearray()
        self._unsent = bytearray()

    def fileno(self) -> int:
        """Return its descriptor, for the selector."""
        return self._end.fileno()

    @property
    def wants(self) -> int:
        """What the selector should wait for."""
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)

    def tell(self, message: dict[str, Any]) -> None:
        """Send one line; events are dropped once the owner has left a megabyte unread."""
        if "event" in message and len(self._unsent) > _UNREAD_BYTES:
            return
        self._unsent += json.dumps(message).encode() + b"\n"
        self.flush()

    def flush(self) -> None:
        """Send what the socket takes now."""
        try:
            del self._unsent[: self._end.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:  # the owner is gone; the next read says so
            self._unsent.clear()

    def commands(self) -> list[dict[str, Any]] | None:
        """Read what came; None when the owner is gone."""
        try:
            chunk = self._end.recv(_CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            return None
        self._incoming += chunk
        if not chunk or len(self._incoming) > _LONGEST_LINE:
            return None
        *lines, rest = self._incoming.split(b"\n")
        self._incoming = rest
        try:
            return [json.loads(line) for line in lines]
        except ValueError:  # whoever speaks there is no owner of ours
            return None
