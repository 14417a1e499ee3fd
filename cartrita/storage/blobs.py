"""What keeps large things that are passed by reference."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

CHUNK = 1 << 20
"""Bytes that are written or read at a time."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A kept thing.

    Attributes:
        kind: Its media type.
        digest: SHA-256 of its bytes, in hex.
        created_at: Unix seconds.
    """

    id: str
    kind: str
    size: int
    digest: str
    created_at: float


class Blobs(Protocol):
    """Keeps things for their owners, each out of sight of every other.

    Raises `ServiceUnavailable` where it cannot be reached.
    """

    async def write(self, owner: str, kind: str, parts: AsyncIterator[bytes]) -> Blob:
        """Keep what comes, wholly or not at all.

        Raises:
            ResourceLimitExceeded: The owner's room is full.
        """

    async def find(self, owner: str, blob_id: str) -> Blob | None:
        """Return one of an owner's blobs."""

    def read(self, owner: str, blob_id: str, start: int, size: int) -> AsyncIterator[bytes]:
        """Yield `size` bytes of a blob that was found, from `start` on."""

    async def remove(self, owner: str, blob_id: str) -> bool:
        """Drop one; False when there is none."""

    async def sweep(self, before: float) -> int:
        """Drop what was created before a Unix time, and what was never finished."""

    async def close(self) -> None:
        """Let go of it."""
