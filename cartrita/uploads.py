"""Files that are handed in for half an hour, under a token."""

from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

from cartrita.clock import Clock, new_uuid
from cartrita.errors import (
    AuthorizationFailed,
    CartritaError,
    NotFound,
    RateLimitExceeded,
    ResourceLimitExceeded,
)
from cartrita.storage.blobs import Blobs
from cartrita.storage.uploads import Upload, UploadBook, Which

MARK = "hfbin:"
"""How tokens begin."""

LIFETIME = 30 * 60.0
"""Seconds for which one is good."""

LARGEST = 50 * 1024 * 1024
MOST = 200
"""Of one owner at a time."""

REMEMBERED = 3600.0
"""Seconds for which it is known of an upload that it has expired."""

SWEPT = 100
"""Those forgotten on the way when one is handed in."""

LONGEST_NAME = 255


class Uploads:
    """Where files are handed in, listed and taken back.

    Args:
        blobs: Have the bytes.
        book: Knows the rest.
    """

    def __init__(self, blobs: Blobs, book: UploadBook, clock: Clock) -> None:
        self._blobs, self._book, self._clock = blobs, book, clock

    async def put(self, owner: str, name: str, kind: str, parts: AsyncIterator[bytes]) -> Upload:
        """Keep a file.

        Args:
            owner: Whose.
            name: What it is called; only the last `LONGEST_NAME` characters are kept.
            kind: Its media type, likewise.
            parts: Its bytes.

        Raises:
            ResourceLimitExceeded: It is too large, or its owner's blobs are.
            RateLimitExceeded: Its owner has too many.
        """
        await self._tidy()
        _, alive = await self._book.page(owner, Which(self._clock.now()), 0, 0)
        if alive >= MOST:
            raise self._full()
        blob = await self._blobs.write(owner, kind, _bounded(parts))
        now = self._clock.now()
        name, kind = (text.replace("\x00", "")[-LONGEST_NAME:] for text in (name, kind))
        made = Upload(new_uuid(), owner, blob.id, name, kind, blob.size, now, now + LIFETIME)
        try:
            if not await self._book.add(made, MOST):
                raise self._full()
        except CartritaError:
            await self._blobs.remove(owner, blob.id)
            raise
        return made

    def _full(self) -> RateLimitExceeded:
        return RateLimitExceeded(
            f"You have {MOST} uploads that have not expired: revoke some, or wait.",
            retry_after=LIFETIME / 10,
        )

    async def page(
        self, owner: str, which: Which, limit: int, offset: int
    ) -> tuple[list[Upload], int]:
        """Return an owner's, newest first, and how many there are in all."""
        return await self._book.page(owner, which, limit, offset)

    async def find(self, owner: str, token: str) -> Upload:
        """Return what is behind a token.

        Raises:
            NotFound: There is nothing, or nothing any more.
            AuthorizationFailed: It is somebody else's.
        """
        found = await self._book.find(upload_id) if (upload_id := id_of(token)) else None
        if found is None:
            raise NotFound(f"There is no upload {token[:60]!r}.")
        if found.owner != owner:
            raise AuthorizationFailed("This upload is somebody else's.")
        if found.expires_at <= self._clock.now():
            raise NotFound(f"The upload {token[:60]!r} has expired; hand it in again.")
        return found

    async def read(self, upload: Upload) -> AsyncIterator[bytes]:
        """Yield the bytes of one that was found.

        Raises:
            NotFound: They are gone.
        """
        blob = await self._blobs.find(upload.owner, upload.blob)
        if blob is None:
            raise NotFound(f"The bytes of {token_of(upload)!r} are gone; hand it in again.")
        async for part in self._blobs.read(upload.owner, blob, 0, blob.size):
            yield part

    async def revoke(self, owner: str, token: str) -> Upload:
        """Drop one at once, and return what it was.

        Raises:
            NotFound: There is nothing, or nothing any more.
            AuthorizationFailed: It is somebody else's.
        """
        found = await self.find(owner, token)
        await self._book.remove(found.id)
        await self._blobs.remove(owner, found.blob)
        return found

    async def _tidy(self) -> None:
        """Forget some that expired an hour ago; their bytes may have been swept before."""
        for gone in await self._book.drop(self._clock.now() - REMEMBERED, SWEPT):
            with suppress(CartritaError):
                await self._blobs.remove(gone.owner, gone.blob)


def token_of(upload: Upload) -> str:
    """Return by which its owner names an upload."""
    return f"{MARK}{upload.id}"


def id_of(token: str) -> UUID | None:
    """Return the id in a token, with its mark or without; None where there is none."""
    try:
        return UUID(token.removeprefix(MARK))
    except ValueError:
        return None


async def _bounded(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size = 0
    async for part in parts:
        size += len(part)
        if size > LARGEST:
            raise ResourceLimitExceeded(f"A file may take {LARGEST} bytes.")
        yield part
