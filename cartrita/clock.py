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


class _Uuid7:
    """Mints UUIDv7 (RFC 9562 §6.2, method 1): ordered within one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = (0, 0)

    def __call__(self) -> UUID:
        with self._lock:
            millis = time.time_ns() // 1_000_000
            last, count = self._last
            if millis <= last:
                millis, count = (last, count + 1) if count < _COUNTER_MAX else (last + 1, 0)
            else:
                count = int.from_bytes(os.urandom(2)) & 0x7FF
            self._last = (millis, count)
        tail = int.from_bytes(os.urandom(8)) & ((1 << 62) - 1)
        return UUID(int=(millis << 80) | (7 << 76) | (count << 64) | (2 << 62) | tail)


new_uuid = _Uuid7()


def new_id() -> str:
    """Return a fresh UUIDv7 in its canonical text form."""
    return str(new_uuid())


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
