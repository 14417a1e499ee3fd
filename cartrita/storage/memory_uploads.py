"""Keeps what is known of uploads in this process, for tests and trying out."""

from uuid import UUID

from cartrita.storage.uploads import Upload, Which


class InMemoryUploads:
    """Uploads in a dictionary."""

    def __init__(self) -> None:
        self._kept: dict[UUID, Upload] = {}

    async def add(self, upload: Upload, most: int) -> bool:
        """Note one, unless its owner has too many."""
        _, alive = await self.page(upload.owner, Which(upload.created_at), 0, 0)
        if alive >= most:
            return False
        self._kept[upload.id] = upload
        return True

    async def find(self, upload_id: UUID) -> Upload | None:
        """Return one."""
        return self._kept.get(upload_id)

    async def page(
        self, owner: str, which: Which, limit: int, offset: int
    ) -> tuple[list[Upload], int]:
        """Return an owner's, newest first, and how many there are."""
        own = [one for one in self._kept.values() if one.owner == owner and _is(one, which)]
        own.sort(key=lambda one: (one.created_at, one.id), reverse=True)
        return own[offset : offset + limit], len(own)

    async def remove(self, upload_id: UUID) -> bool:
        """Forget one."""
        return self._kept.pop(upload_id, None) is not None

    async def drop(self, before: float, limit: int) -> list[Upload]:
        """Forget some of those that expired."""
        gone = [one for one in self._kept.values() if one.expires_at < before][:limit]
        for one in gone:
            del self._kept[one.id]
        return gone


def _is(upload: Upload, which: Which) -> bool:
    gone = upload.expires_at <= which.now
    if which.expired != "include" and gone != (which.expired == "only"):
        return False
    kind = which.kind
    return kind is None or upload.kind == kind or upload.kind.startswith(f"{kind}/")
