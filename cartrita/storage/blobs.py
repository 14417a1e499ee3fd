"""What keeps large things that are passed by reference."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cartrita.errors import ResourceLimitExceeded

T = TypeVar("T")

CHUNK = 1 << 20
"""Bytes that are written or read at a time."""

AT_ONCE = 500
"""Tasks that a sweep asks about together."""

Living = Callable[[Sequence[str]], Awaitable[Collection[str]]]
"""Tells which of these tasks are not forgotten yet."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A kept thing.

    Attributes:
        kind: Its media type.
        digest: SHA-256 of its bytes, in hex.
        created_at: Unix seconds.
        task: The task that it belongs to and goes with; None for what its owner put in.
    """

    id: str
    kind: str
    size: int
    digest: str
    created_at: float
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """What a sweep drops, by Unix times.

    Attributes:
        before: What owners put in before this.
        unclaimed: What belongs to a task, and was put in before this, if the task is forgotten.
            Later than any task may be accepted for which something was put in.
        living: Tells which tasks are not.
    """

    before: float
    unclaimed: float
    living: Living

    def possible(self, created_at: float, task: str | None) -> bool:
        """Tell whether something may be due; for what belongs to a task, only `living` knows."""
        return created_at < (self.unclaimed if task else self.before)

    async def certain(self, found: Sequence[tuple[T, str | None]]) -> list[T]:
        """Return those of what may be due, each beside its task, that are."""
        due = [one for one, task in found if task is None]
        held = [(one, task) for one, task in found if task is not None]
        for first in range(0, len(held), AT_ONCE):
            some = held[first : first + AT_ONCE]
            living = set(await self.living(sorted({task for _, task in some})))
            due += [one for one, task in some if task not in living]
        return due


class Room:
    """What comes in for one blob: counted and hashed, as long as there is room.

    Args:
        left: Bytes that its owner may still put in.
    """

    def __init__(self, left: int) -> None:
        self._left = left
        self._size, self._hash = 0, hashlib.sha256()

    async def parts(self, given: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield what is given in pieces of `CHUNK` bytes or a little more.

        Raises:
            ResourceLimitExceeded: It is more than there is room for.
        """
        held, holds = [], 0
        async for part in given:
            self._size += len(part)
            if self._size > self._left:
                raise ResourceLimitExceeded(
                    "Your blobs take all the room that you have: delete some, or wait until "
                    "they expire."
                )
            self._hash.update(part)
            held.append(part)
            holds += len(part)
            if holds >= CHUNK:
                yield b"".join(held)
                held, holds = [], 0
        if held:
            yield b"".join(held)

    def blob(self, blob_id: str, kind: str, created_at: float, task: str | None) -> Blob:
        """Return what came in, once it is kept."""
        return Blob(blob_id, kind, self._size, self._hash.hexdigest(), created_at, task)


def folder_of(owner: str) -> str:
    """Return the name under which an owner's blobs are kept."""
    return hashlib.blake2b(owner.encode(), digest_size=16).hexdigest()


class Blobs(Protocol):
    """Keeps things for their owners, each out of sight of every other.

    Raises `ServiceUnavailable` where it cannot be reached, and `ConfigurationInvalid` where a
    setting keeps it from that.
    """

    async def write(
        self, owner: str, kind: str, parts: AsyncIterator[bytes], task: str | None = None
    ) -> Blob:
        """Keep what comes, wholly or not at all.

        Args:
            owner: Whose.
            kind: Its media type.
            parts: Its bytes.
            task: The task that it belongs to.

        Raises:
            ResourceLimitExceeded: The owner's room is full.
        """

    async def find(self, owner: str, blob_id: str) -> Blob | None:
        """Return one of an owner's blobs."""

    def read(self, owner: str, blob: Blob, start: int, size: int) -> AsyncIterator[bytes]:
        """Yield `size` bytes of a blob that was found, from `start` on."""

    async def remove(self, owner: str, blob_id: str) -> bool:
        """Drop one; False when there is none."""

    async def sweep(self, due: Due) -> int:
        """Drop what is due, and what was never finished; returns how many blobs that were."""

    async def close(self) -> None:
        """Let go of it."""
