"""Keeps answers in Valkey, for all hosts together."""

import hashlib
from typing import Any

from cartrita.clock import Clock
from cartrita.storage.answers import Entry
from cartrita.storage.valkey import Valkey

AT_ONCE = 500


class ValkeyShelf(Valkey):
    """Answers in Valkey or Redis, each with a time to live; an index of them by whose they are.

    Args:
        url: `redis://…` or `unix://…`
        timeout: Seconds after which it counts as away.
        prefix: Before every key.
    """

    def __init__(
        self, url: str, clock: Clock, timeout: float = 0.25, prefix: str = "cartrita:answer:"
    ) -> None:
        super().__init__(url, clock, timeout, prefix)

    async def get(self, tenant: str, key: str) -> bytes | None:
        """Return a body; None when there is none, or no longer."""
        with self._reaching():
            body: Any = await self._redis.get(self._place(tenant, key))
        return body if isinstance(body, bytes) else None

    async def put(self, entry: Entry) -> None:
        """Keep an answer in the place of an older one."""
        place = self._place(entry.owner.tenant, entry.key)
        life = max(1, round(entry.seconds * 1000))
        now = self._clock.now()
        with self._reaching():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.set(place, entry.body, px=life)
            for index in (self._of("t", entry.owner.tenant), self._of("u", entry.owner.user)):
                pipeline.zadd(index, {place: now + entry.seconds})
                pipeline.zremrangebyscore(index, "-inf", now)
                pipeline.pexpire(index, life, gt=True)
                pipeline.pexpire(index, life, nx=True)
            await pipeline.execute()

    async def forget(self, *, tenant: str | None = None, user: str | None = None) -> int:
        """Delete all answers of a tenant, or of a user in every tenant; returns how many."""
        asked = (("t", tenant), ("u", user))
        with self._reaching():
            return sum([await self._emptied(self._of(*one)) for one in asked if one[1]])

    async def _emptied(self, index: str) -> int:
        gone = 0
        while places := await self._redis.zrange(index, 0, AT_ONCE - 1):
            gone += await self._redis.delete(*places)
            await self._redis.zrem(index, *places)
        return gone

    def _place(self, tenant: str, key: str) -> str:
        return f"{self._prefix}{_short(tenant)}:{key}"

    def _of(self, kind: str, whose: str | None) -> str:
        return f"{self._prefix}of:{kind}:{_short(whose or '')}"


def _short(name: str) -> str:
    """Return a name of fixed length and without colons for a tenant or a user."""
    return hashlib.blake2b(name.encode(), digest_size=12).hexdigest()
