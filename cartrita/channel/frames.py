"""The bytes on a channel: a length, then one MessagePack array.

    frame    = length (4 bytes, big-endian, at most 10 MB) body
    body     = [kind, id, ...]
    HELLO    [0, 0, version, token, peer, epoch]      the client's first frame
    WELCOME  [1, 0, version, server, epoch, window]   only this means connected
    REQUEST  [2, id, method, deadline_ms, trace, payload]
    REPLY    [3, id, payload]
    FAILURE  [4, id, error]
    EVENT    [5, id, payload]                         in the course of a request
    CANCEL   [6, id]
    CREDIT   [7, id, amount]                          the reader of events can take more
    PING     [8, id]
    PONG     [9, id]

`deadline_ms` is what is left, not a time of day: clocks differ between nodes. Nothing here
is ever unpickled.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import msgpack

from cartrita.errors import InvalidMessage, ResourceLimitExceeded

VERSION = 1
MAX_FRAME = 10 * 1024 * 1024
"""Bytes, as in the older system."""

CREDIT = 64
"""Events of a request that its caller can take before it grants more."""

_LENGTH = struct.Struct(">I")


class Kind(IntEnum):
    """What a frame is."""

    HELLO = 0
    WELCOME = 1
    REQUEST = 2
    REPLY = 3
    FAILURE = 4
    EVENT = 5
    CANCEL = 6
    CREDIT = 7
    PING = 8
    PONG = 9


def pack(value: Any) -> bytes:
    """Encode a value of plain types as MessagePack.

    Raises:
        InvalidMessage: It holds something MessagePack has no form for.
    """
    try:
        packed: bytes = msgpack.packb(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidMessage(f"The value has no MessagePack form: {error}") from error
    return packed


def unpack(data: bytes | memoryview) -> Any:
    """Decode one MessagePack value.

    Raises:
        InvalidMessage: The bytes are not one.
    """
    try:
        return msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise InvalidMessage(f"Not MessagePack: {error}") from error


def encode(*parts: Any) -> bytes:
    """Return the frame that carries `parts`.

    Raises:
        ResourceLimitExceeded: It would be over `MAX_FRAME`.
    """
    body = pack(parts)
    if len(body) > MAX_FRAME:
        raise ResourceLimitExceeded(
            f"A message of {len(body)} bytes is over the limit of {MAX_FRAME}; "
            "pass large data by reference."
        )
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._needed = _LENGTH.size

    def feed(self, data: bytes) -> Iterator[list[Any]]:
        """Yield each frame that `data` completes.

        Raises:
            InvalidMessage: A length or a body is wrong; the stream cannot be trusted further.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return  # a large frame in small pieces is copied once, not once per piece
            data = bytes(self._rest)
        buffer, start, size = memoryview(data), 0, len(data)
        self._needed = _LENGTH.size
        while size - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > MAX_FRAME:
                raise InvalidMessage(f"A frame announces {length} bytes; the limit is {MAX_FRAME}.")
            end = start + _LENGTH.size + length
            if end > size:
                self._needed = end - start
                break
            yield _checked(unpack(buffer[start + _LENGTH.size : end]))
            start = end
        self._rest = bytearray(buffer[start:])


def _checked(frame: Any) -> list[Any]:
    """Refuse what is not a frame at all; its kind's own fields are the receiver's to read."""
    if (
        not isinstance(frame, list)
        or len(frame) < 2  # noqa: PLR2004 - a kind and an id
        or not isinstance(frame[0], int)
        or not isinstance(frame[1], int)
    ):
        raise InvalidMessage("A frame must be an array that begins with a kind and an id.")
    return frame
