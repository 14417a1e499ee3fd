"""Keeps API keys in this process."""

from dataclasses import replace

from cartrita.storage.apikeys import ApiKey, Held
from cartrita.storage.ports import Users


class InMemoryKeys:
    """API keys in a dictionary.

    Args:
        users: Whose they are.
    """

    def __init__(self, users: Users) -> None:
        self._users = users
        self._kept: dict[bytes, ApiKey] = {}

    async def add(self, key: ApiKey, digest: bytes, most: int) -> bool:
        """Keep a key, unless its user has `most` or is no account here."""
        if await self._users.find(key.user_id) is None:
            return False
        mine = {at: kept for at, kept in self._kept.items() if kept.user_id == key.user_id}
        expired = [at for at, kept in mine.items() if kept.expires_at <= key.created_at]
        for at in expired:
            del self._kept[at]
        if len(mine) - len(expired) >= most:
            return False
        self._kept[digest] = key
        return True

    async def find(self, digest: bytes) -> Held | None:
        """Return the key with this digest."""
        key = self._kept.get(digest)
        user = await self._users.find(key.user_id) if key else None
        return Held(key, user) if key and user else None

    async def page(self, user_id: str | None, limit: int, before: str | None) -> list[ApiKey]:
        """Return keys, newest first."""
        found = [
            key
            for key in self._kept.values()
            if user_id in (None, key.user_id) and (before is None or key.id < before)
        ]
        return sorted(found, key=lambda key: key.id, reverse=True)[:limit]

    async def remove(self, key_id: str, user_id: str | None) -> ApiKey | None:
        """Forget a key and return it."""
        for digest, key in self._kept.items():
            if key.id == key_id and user_id in (None, key.user_id):
                return self._kept.pop(digest)
        return None

    async def touch(self, key_id: str, now: float) -> None:
        """Note that a key was used."""
        for digest, key in self._kept.items():
            if key.id == key_id:
                self._kept[digest] = replace(key, last_used_at=max(now, key.last_used_at or now))
