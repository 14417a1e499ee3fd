"""Keeps blobs in files of one folder, which all gateways of a node share."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from cartrita.clock import Clock, new_id
from cartrita.errors import ResourceLimitExceeded, ServiceUnavailable
from cartrita.storage.blobs import CHUNK, Blob

_ABOUT = ".json"
_STALE = 86_400.0
"""Seconds after which something unfinished is nobody's any more."""


class DiskBlobs:
    """Blobs below a folder: one folder per owner, and beside each blob what it is.

    That is written last and put in place in one step, so a blob is there whole or not at all.

    Args:
        root: The folder; made when it is first needed.
        quota: Bytes that one owner's blobs may take together. Uploads at the same time may go
            beyond it by what each of them holds.
    """

    def __init__(self, root: Path, clock: Clock, quota: int) -> None:
        self._root, self._clock, self._quota = root, clock, quota

    async def write(self, owner: str, kind: str, parts: AsyncIterator[bytes]) -> Blob:
        """Keep what comes, wholly or not at all."""
        blob_id = new_id()
        path = self._path(owner, blob_id)
        try:
            room = self._quota - await asyncio.to_thread(_taken, path.parent)
            writing = _Writing(await asyncio.to_thread(_create, path), room)
            try:
                await writing.all(parts)
            finally:
                await asyncio.to_thread(writing.file.close)
            blob = Blob(blob_id, kind, writing.size, writing.hash.hexdigest(), self._clock.now())
            await asyncio.to_thread(_describe, path, blob)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise _away(error) from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return blob

    async def find(self, owner: str, blob_id: str) -> Blob | None:
        """Return one of an owner's blobs."""
        about = self._path(owner, blob_id).with_suffix(_ABOUT)
        try:
            return Blob(**json.loads(await asyncio.to_thread(about.read_bytes)))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _away(error) from error

    async def read(self, owner: str, blob_id: str, start: int, size: int) -> AsyncIterator[bytes]:
        """Yield `size` bytes of a blob that was found, from `start` on."""
        try:
            file = await asyncio.to_thread(_open_at, self._path(owner, blob_id), start)
            try:
                while size and (part := await asyncio.to_thread(file.read, min(CHUNK, size))):
                    size -= len(part)
                    yield part
            finally:
                file.close()
        except OSError as error:
            raise _away(error) from error

    async def remove(self, owner: str, blob_id: str) -> bool:
        """Drop one; False when there is none."""
        return await asyncio.to_thread(_remove, self._path(owner, blob_id))

    async def sweep(self, before: float) -> int:
        """Drop what was created before a Unix time, and what was never finished."""
        unfinished = self._clock.now() - _STALE
        return await asyncio.to_thread(_sweep, self._root, before, unfinished)

    async def close(self) -> None:
        """Nothing is held."""

    def _path(self, owner: str, blob_id: str) -> Path:
        """Return where a blob is; its id was minted here or is a UUID, never a path."""
        return self._root / folder_of(owner) / blob_id


def folder_of(owner: str) -> str:
    """Return the name under which an owner's blobs are kept."""
    return hashlib.blake2b(owner.encode(), digest_size=16).hexdigest()


class _Writing:
    """A file that grows."""

    def __init__(self, file: BinaryIO, room: int) -> None:
        self.file, self._room = file, room
        self.size, self.hash = 0, hashlib.sha256()
        self._held: list[bytes] = []
        self._holds = 0

    async def all(self, parts: AsyncIterator[bytes]) -> None:
        """Write everything, a chunk at a time."""
        async for part in parts:
            self.size += len(part)
            if self.size > self._room:
                raise ResourceLimitExceeded(
                    "Your blobs take all the room that you have: delete some, or wait until "
                    "they expire."
                )
            self._held.append(part)
            self._holds += len(part)
            if self._holds >= CHUNK:
                await self._flush()
        await self._flush()

    async def _flush(self) -> None:
        held, self._held, self._holds = b"".join(self._held), [], 0
        await asyncio.to_thread(self._write, held)

    def _write(self, data: bytes) -> None:
        self.hash.update(data)
        self.file.write(data)


def _taken(folder: Path) -> int:
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except FileNotFoundError:  # none yet, or one that was removed meanwhile: near enough
        return 0


def _create(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path.open("xb")


def _describe(path: Path, blob: Blob) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(asdict(blob)))
    draft.replace(path.with_suffix(_ABOUT))


def _open_at(path: Path, start: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(start)
    return file


def _remove(path: Path) -> bool:
    try:
        path.with_suffix(_ABOUT).unlink()
        path.unlink(missing_ok=True)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _away(error) from error
    return True


def _sweep(root: Path, before: float, unfinished: float) -> int:
    dropped = 0
    for path in root.glob("*/*"):
        with suppress(OSError):  # another gateway may sweep, too
            if path.suffix == _ABOUT:
                if json.loads(path.read_bytes())["created_at"] < before:
                    dropped += _remove(path.with_suffix(""))
            elif path.stat().st_mtime < unfinished and not path.with_suffix(_ABOUT).exists():
                path.unlink()
    return dropped


def _away(error: OSError) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"The blobs cannot be reached now ({type(error).__name__}).", retry_after=5
    )
