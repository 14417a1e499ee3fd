"""Forgets ended tasks in PostgreSQL, a few in one transaction."""

from datetime import UTC, datetime, timedelta

import asyncpg

from cartrita.clock import Clock
from cartrita.storage.postgres.outage import lend
from cartrita.storage.runtime import Keep

AT_ONCE = 500
"""Tasks of one transaction: it is short, so nothing waits for it and vacuum can follow."""

TIMEOUT = 30.0

DELETED_FOR = timedelta(days=30)
"""For so long a deleted key of a provider can be brought back."""

_FORGET = (
    "SELECT forget($1, $2, $3, $4) + forget_effects($2, $4) + forget_answers($5, $4)"
    " + forget_budgets($2, $3, $4) + forget_approvals($2, $4) + forget_vault($6, $4)"
)


class PostgresRetention:
    """Deletes what is due, by the clock of this process.

    Args:
        pool: Connections to the migrated database.
    """

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        self._pool, self._clock = pool, clock

    async def forget(self, keep: Keep) -> int:
        """Forget a little; returns how many tasks, keys, effects and answers that were."""
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        before = [now - timedelta(seconds=s) for s in (keep.streams, keep.events, keep.tasks)]
        async with lend(self._pool, TIMEOUT, "The journal") as connection:
            limits = (AT_ONCE, now, now - DELETED_FOR)
            count: int = await connection.fetchval(_FORGET, *before, *limits)
        return count
