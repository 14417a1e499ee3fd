"""Keeps blobs in this process: for tests, and for trying an agent."""

from collections.abc import AsyncIterator

from cartrita.clock import Clock, new_id
from cartrita.storage.blobs import CHUNK, Blob, Due, Room


class InMemoryBlobs:
    """Blobs in a dictionary."""

    def __init__(self, clock: Clock, quota: int) -> None:
        self._clock, self._quota = clock, quota
        self._kept: dict[tuple[str, str], tuple[Blob, bytes]] = {}

    async def write(
        self, owner: str, kind: str, parts: AsyncIterator[bytes], task: str | None = None
    ) -> Blob:
        """Keep what comes, wholly or not at all."""
        taken = sum(blob.size for (of, _), (blob, _) in self._kept.items() if of == owner)
        room = Room(self._quota - taken)
        data = b"".join([part async for part in room.parts(parts)])
        blob = room.blob(new_id(), kind, self._clock.now(), task)
        self._kept[owner, blob.id] = blob, data
        return blob

    async def find(self, owner: str, blob_id: str) -> Blob | None:
        """Return one of an owner's blobs."""
        blob, _ = self._kept.get((owner, blob_id), (None, b""))
        return blob

    async def read(self, owner: str, blob: Blob, start: int, size: int) -> AsyncIterator[bytes]:
        """Yield `size` bytes of a blob that was found, from `start` on."""
        _, data = self._kept[owner, blob.id]
        for place in range(start, start + size, CHUNK):
            yield data[place : min(place + CHUNK, start + size)]

    async def remove(self, owner: str, blob_id: str) -> bool:
        """Drop one; False when there is none."""
        return self._kept.pop((owner, blob_id), None) is not None

    async def sweep(self, due: Due) -> int:
        """Drop what is due."""
        found = [
            (key, blob.task)
            for key, (blob, _) in self._kept.items()
            if due.possible(blob.created_at, blob.task)
        ]
        gone = await due.certain(found)
        for key in gone:
            del self._kept[key]
        return len(gone)

    async def close(self) -> None:
        """Nothing is held."""
