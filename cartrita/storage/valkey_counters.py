"""Counts requests in Valkey, for all replicas together."""

import contextlib
from collections.abc import Sequence
from typing import Any

from cartrita.errors import ServiceUnavailable
from cartrita.storage.counters import SLOTS, Ask, Counted

# One bucket is a hash of slots. The time is the server's, because the replicas' clocks differ.
_SETTLE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local told, want, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local length, slots = tonumber(ARGV[4]), tonumber(ARGV[5])
local slot = math.floor(now / length)
local held = redis.call('HGETALL', KEYS[1])
local used, kept = told, {0, now}
for i = 1, #held, 2 do
    local at = tonumber(held[i])
    if at < slot - slots then
        redis.call('HDEL', KEYS[1], held[i])
    else
        used = used + tonumber(held[i + 1])
        if at ~= slot then
            kept[#kept + 1] = at
            kept[#kept + 1] = tonumber(held[i + 1])
        end
    end
end
kept[1] = math.max(0, math.min(want, limit - used))
local mine = redis.call('HINCRBY', KEYS[1], slot, told + kept[1])
redis.call('PEXPIRE', KEYS[1], (slots + 1) * length)
kept[#kept + 1] = slot
kept[#kept + 1] = mine
return kept
"""


class ValkeyCounters:
    """Buckets in Valkey or Redis, one round trip for many.

    Args:
        url: `redis://…` or `unix://…`
        timeout: Seconds after which it counts as away: requests wait for it.
        prefix: Before every key.
    """

    def __init__(self, url: str, timeout: float = 0.5, prefix: str = "cartrita:rate:") -> None:
        # 9 MB that processes which never count need not hold.
        from redis.asyncio import Redis  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.exceptions import NoScriptError, RedisError  # noqa: PLC0415

        self._redis = Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        self._prefix, self._sha = prefix, ""
        self._missing: type[Exception] = NoScriptError
        self._away = (RedisError, OSError, TimeoutError)

    async def settle(self, asks: Sequence[Ask]) -> list[Counted]:
        """Count what is told and grant what fits."""
        try:
            answers = await self._run(asks)
        except self._away as error:
            raise ServiceUnavailable(f"Valkey is away ({type(error).__name__}).") from error
        return [_counted(answer) for answer in answers]

    async def _run(self, asks: Sequence[Ask]) -> list[Any]:
        if not self._sha:
            self._sha = await self._redis.script_load(_SETTLE)
        pipeline = self._redis.pipeline(transaction=False)
        for ask in asks:
            key = self._prefix + ask.key
            values = (ask.told, ask.want, ask.limit, ask.slot_ms, SLOTS)
            pipeline.evalsha(self._sha, 1, key, *map(str, values))
        try:
            return await pipeline.execute()
        except self._missing:  # a server that was started anew: the next call loads it again
            self._sha = ""
            raise

    async def close(self) -> None:
        """Let go of the connection."""
        with contextlib.suppress(*self._away):
            await self._redis.aclose()


def _counted(answer: list[int]) -> Counted:
    granted, now, *pairs = answer
    return Counted(granted, now / 1000, dict(zip(pairs[::2], pairs[1::2], strict=True)))
