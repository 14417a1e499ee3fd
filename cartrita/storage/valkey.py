"""What the stores in Valkey that tasks can do without have in common."""

import contextlib
from collections.abc import Iterator

from cartrita.clock import Clock
from cartrita.errors import ServiceUnavailable

REST = 5.0
"""Seconds for which nobody asks it after it was away: tasks would wait for it in turn."""


class Valkey:
    """A connection to Valkey or Redis that is left alone for a while once it was away.

    Args:
        url: `redis://…` or `unix://…`
        timeout: Seconds after which it counts as away.
        prefix: Before every key.
    """

    def __init__(self, url: str, clock: Clock, timeout: float, prefix: str) -> None:
        # Processes that keep nothing there need not hold it.
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

    async def close(self) -> None:
        """Let go of the connection."""
        with contextlib.suppress(*self._failures):
            await self._redis.aclose()

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """Let something be asked.

        Raises:
            ServiceUnavailable: It is away, or was a moment ago.
        """
        now = self._clock.monotonic()
        if now < self._resting_until:
            raise ServiceUnavailable("Valkey was away a moment ago.")
        try:
            yield
        except self._failures as error:
            self._resting_until = now + REST
            raise ServiceUnavailable(f"Valkey is away ({type(error).__name__}).") from error
