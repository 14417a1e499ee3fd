"""Messages on a pipe: a length of four bytes, then the body."""

import struct
from typing import IO

READY = b"ready"
"""The first message of a child that has started."""

HEADER = struct.Struct(">I")


def send(target: IO[bytes], body: bytes) -> None:
    """Write one message.

    Raises:
        OSError: The other side has gone.
    """
    target.write(HEADER.pack(len(body)))
    target.write(body)
    target.flush()


def receive(source: IO[bytes]) -> bytes | None:
    """Read one message; None where the other side has gone."""
    head = source.read(HEADER.size)
    if len(head) < HEADER.size:
        return None
    (size,) = HEADER.unpack(head)
    body = source.read(size)
    return body if len(body) == size else None
