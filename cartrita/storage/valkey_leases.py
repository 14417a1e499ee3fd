"""Keeps leases in Valkey, for all hosts together."""

import contextlib
from collections.abc import Iterator
from typing import Any

from cartrita.clock import Clock, new_id
from cartrita.errors import ServiceUnavailable

REST = 5.0
"""Seconds for which nobody asks it after it was away: tasks would wait for it in turn."""

_EXTEND = "return redis.call('get',KEYS[1])==ARGV[1] and redis.call('pexpire',KEYS[1],ARGV[2]) or 0"
_GIVE = "return redis.call('get',KEYS[1])==ARGV[1] and redis.call('del',KEYS[1]) or 0"


class ValkeyLeases:
    """Leases in Valkey or Redis: keys that end by themselves.

    Args:
        url: `redis://…` or `unix://…`
        timeout: Seconds after which it counts as away.
        prefix: Before every key.
    """

    def __init__(
        self, url: str, clock: Clock, timeout: float = 0.25, prefix: str = "cartrita:lease:"
    ) -> None:
        from redis.asyncio import Redis  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.exceptions import RedisError  # noqa: PLC0415

        self._redis = Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        self._clock, self._prefix = clock, prefix
        self._failures = (RedisError, OSError, TimeoutError)
        self._resting_until = 0.0

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

    async def close(self) -> None:
        """Let go of the connection."""
        with contextlib.suppress(*self._failures):
            await self._redis.aclose()

    async def _run(self, script: str, key: str, *arguments: str) -> Any:
        with self._reaching():
            return await self._redis.eval(script, 1, self._prefix + key, *arguments)

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        now = self._clock.monotonic()
        if now < self._resting_until:
            raise ServiceUnavailable("Valkey was away a moment ago.")
        try:
            yield
        except self._failures as error:
            self._resting_until = now + REST
            raise ServiceUnavailable(f"Valkey is away ({type(error).__name__}).") from error


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
