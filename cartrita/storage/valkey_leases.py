"""Keeps leases in Valkey, for all hosts together."""

from typing import Any

from cartrita.clock import Clock, new_id
from cartrita.storage.valkey import Valkey

_EXTEND = "return redis.call('get',KEYS[1])==ARGV[1] and redis.call('pexpire',KEYS[1],ARGV[2]) or 0"
_GIVE = "return redis.call('get',KEYS[1])==ARGV[1] and redis.call('del',KEYS[1]) or 0"


class ValkeyLeases(Valkey):
    """Leases in Valkey or Redis: keys that end by themselves.

    Args:
        url: `redis://…` or `unix://…`
        timeout: Seconds after which it counts as away.
        prefix: Before every key.
    """

    def __init__(
        self, url: str, clock: Clock, timeout: float = 0.25, prefix: str = "cartrita:lease:"
    ) -> None:
        super().__init__(url, clock, timeout, prefix)

    async def take(self, key: str, seconds: float) -> str | None:
        """Return a mark that the lease is ours for so long; None while it is somebody else's."""
        mark = new_id()
        with self._reaching():
            taken = await self._redis.set(self._prefix + key, mark, nx=True, px=_ms(seconds))
        return mark if taken else None

    async def extend(self, key: str, mark: str, seconds: float) -> bool:
        """Have a lease last so long from now on; tells whether it is ours still."""
        return bool(await self._run(_EXTEND, key, mark, str(_ms(seconds))))

    async def give(self, key: str, mark: str) -> None:
        """End a lease, if it is ours still."""
        await self._run(_GIVE, key, mark)

    async def held(self, key: str) -> bool:
        """Tell whether a lease is anybody's."""
        with self._reaching():
            return bool(await self._redis.exists(self._prefix + key))

    async def _run(self, script: str, key: str, *arguments: str) -> Any:
        with self._reaching():
            return await self._redis.eval(script, 1, self._prefix + key, *arguments)


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
