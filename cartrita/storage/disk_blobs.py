"""Keeps blobs in files of one folder, which all gateways of a node share."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from cartrita.clock import Clock, new_id
from cartrita.errors import ServiceUnavailable
from cartrita.storage.blobs import CHUNK, Blob, Due, Room, folder_of

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

    async def write(
        self, owner: str, kind: str, parts: AsyncIterator[bytes], task: str | None = None
    ) -> Blob:
        """Keep what comes, wholly or not at all."""
        blob_id = new_id()
        path = self._path(owner, blob_id)
        try:
            room = Room(self._quota - await asyncio.to_thread(_taken, path.parent))
            file = await asyncio.to_thread(_create, path)
            try:
                async for part in room.parts(parts):
                    await asyncio.to_thread(file.write, part)
            finally:
                await asyncio.to_thread(file.close)
            blob = room.blob(blob_id, kind, self._clock.now(), task)
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

    async def read(self, owner: str, blob: Blob, start: int, size: int) -> AsyncIterator[bytes]:
        """Yield `size` bytes of a blob that was found, from `start` on."""
        try:
            file = await asyncio.to_thread(_open_at, self._path(owner, blob.id), start)
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

    async def sweep(self, due: Due) -> int:
        """Drop what is due, and what was never finished."""
        unfinished = self._clock.now() - _STALE
        found = await asyncio.to_thread(_look, self._root, due, unfinished)
        return await asyncio.to_thread(_remove_all, await due.certain(found))

    async def close(self) -> None:
        """Nothing is held."""

    def _path(self, owner: str, blob_id: str) -> Path:
        """Return where a blob is; its id was minted here or is a UUID, never a path."""
        return self._root / folder_of(owner) / blob_id


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


def _look(root: Path, due: Due, unfinished: float) -> list[tuple[Path, str | None]]:
    """Drop what was never finished; returns what may be due, and the tasks it belongs to."""
    found: list[tuple[Path, str | None]] = []
    for path in root.glob("*/*"):
        with suppress(OSError):  # another gateway may sweep, too
            if path.suffix == _ABOUT:
                about = json.loads(path.read_bytes())
                task = about.get("task")
                if due.possible(about["created_at"], task):
                    found.append((path.with_suffix(""), task))
            elif path.stat().st_mtime < unfinished and not path.with_suffix(_ABOUT).exists():
                path.unlink()
    return found


def _remove_all(paths: list[Path]) -> int:
    dropped = 0
    for path in paths:
        with suppress(ServiceUnavailable):
            dropped += _remove(path)
    return dropped


def _away(error: OSError) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"The blobs cannot be reached now ({type(error).__name__}).", retry_after=5
    )
