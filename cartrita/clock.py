"""The one home of time, identifiers and randomness."""

import hashlib
import os
import random
import threading
import time
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    """What the rest of the program may know about time."""

    def now(self) -> float:
        """Return seconds since the Unix epoch; may jump."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return seconds since the Unix epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to; for tests and the simulator."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        """Return seconds since the Unix epoch."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._now += seconds


def iso(seconds: float) -> str:
    """Write a Unix time as ISO-8601 UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


_COUNTER_MAX = 0xFFF
_CANONICAL = 36


_POOL = 4096
"""Random bytes that are fetched at a time: asking for a few costs more than making an id."""


class _Pool:
    """Random bytes of the operating system. No two processes have the same ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes, self._at = b"", 0
        os.register_at_fork(after_in_child=self.__init__)  # type: ignore[misc]

    def take(self, count: int) -> bytes:
        """Return some that nobody was given before."""
        with self._lock:
            if self._at + count > len(self._bytes):
                self._bytes, self._at = os.urandom(max(_POOL, count)), 0
            self._at += count
            return self._bytes[self._at - count : self._at]


_pool = _Pool()


def random_hex(count: int) -> str:
    """Return so many random bytes in hexadecimal digits, for what must be unique, not secret."""
    return _pool.take(count).hex()


class _Uuid7:
    """Mints UUIDv7 (RFC 9562 §6.2, method 1): ordered within one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = (0, 0)

    def __call__(self) -> UUID:
        return UUID(int=self.number())

    def number(self) -> int:
        """Return one as a number: most want only its text."""
        with self._lock:
            millis = time.time_ns() // 1_000_000
            last, count = self._last
            if millis <= last:
                millis, count = (last, count + 1) if count < _COUNTER_MAX else (last + 1, 0)
            else:
                count = int.from_bytes(_pool.take(2)) & 0x7FF
            self._last = (millis, count)
        tail = int.from_bytes(_pool.take(8)) & ((1 << 62) - 1)
        return (millis << 80) | (7 << 76) | (count << 64) | (2 << 62) | tail


new_uuid = _Uuid7()


def new_id() -> str:
    """Return a fresh UUIDv7 in its canonical text form."""
    text = f"{new_uuid.number():032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def derived_id(base: str, salt: str) -> str:
    """Return the UUIDv7 that always follows from another and a text.

    It keeps the other's time, so the two sort next to each other.
    """
    digest = hashlib.blake2b(f"{base}/{salt}".encode(), digest_size=10).digest()
    bits = int.from_bytes(digest)
    millis = UUID(base).int >> 80
    middle, tail = bits >> 64 & 0xFFF, bits & ((1 << 62) - 1)
    return str(UUID(int=(millis << 80) | (7 << 76) | (middle << 64) | (2 << 62) | tail))


def minted_at(text: str) -> float:
    """Return the Unix seconds that a UUIDv7 tells; 0 for any other id."""
    if len(text) != _CANONICAL or text[14] != "7":
        return 0.0
    try:
        return int(text[:8] + text[9:13], 16) / 1000
    except ValueError:
        return 0.0


def new_random(seed: int | None = None) -> random.Random:
    """Return a source of randomness for jitter and sampling, never for secrets."""
    return random.Random(seed)  # noqa: S311 - jitter, not secrets
