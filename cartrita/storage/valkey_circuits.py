"""Keeps circuits in Valkey, for all hosts together."""

import contextlib
import json
from dataclasses import astuple

from cartrita.errors import ServiceUnavailable
from cartrita.storage.circuits import LONGEST, LOOK, Change, Circuit

TRIES = 8
"""Times that a change is computed anew because another host was quicker."""

KEPT_MS = round((LONGEST + LOOK) * 2000)
"""After so long without a change a circuit is closed again by being forgotten."""


class ValkeyCircuits:
    """Circuits in Valkey or Redis, a few numbers each.

    Args:
        url: `redis://…` or `unix://…`
        timeout: Seconds after which it counts as away: model calls wait for it.
        prefix: Before every key.
    """

    def __init__(self, url: str, timeout: float = 0.5, prefix: str = "cartrita:circuit:") -> None:
        from redis.asyncio import Redis  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.exceptions import RedisError, WatchError  # noqa: PLC0415

        self._redis = Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        self._prefix = prefix
        self._overtaken: type[Exception] = WatchError
        self._away = (RedisError, OSError, TimeoutError)

    async def change(self, key: str, change: Change) -> tuple[Circuit, Circuit]:
        """Change a circuit; who is overtaken computes again."""
        try:
            for _ in range(TRIES):
                with contextlib.suppress(self._overtaken):
                    return await self._try(self._prefix + key, change)
        except self._away as error:
            raise ServiceUnavailable(f"Valkey is away ({type(error).__name__}).") from error
        raise ServiceUnavailable(f"The circuit {key!r} changes too often.")

    async def _try(self, key: str, change: Change) -> tuple[Circuit, Circuit]:
        async with self._redis.pipeline(transaction=True) as pipeline:
            await pipeline.watch(key)
            held = await pipeline.get(key)
            before = Circuit(*json.loads(held)) if held else Circuit()
            after = change(before)
            if after != before:
                pipeline.multi()  # type: ignore[no-untyped-call]
                pipeline.set(key, json.dumps(astuple(after)), px=KEPT_MS)
                await pipeline.execute()
        return before, after

    async def close(self) -> None:
        """Let go of the connection."""
        with contextlib.suppress(*self._away):
            await self._redis.aclose()
