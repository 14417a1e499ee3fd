"""Reads tasks back from the journal; any process may."""

import asyncpg

from cartrita.journal import Event, Remnant, Settlement
from cartrita.protocol.task import TaskStatus
from cartrita.storage.postgres.journal import read_event
from cartrita.storage.postgres.outage import lend

TIMEOUT = 5.0
"""Seconds one look may take, waiting for a connection included."""

# What was said at a step may stand in a row that begins before it.
_STORY = """SELECT *, task_id::text AS id FROM task_events
            WHERE task_id = $1 AND step >= coalesce(
                (SELECT max(step) FROM task_events WHERE task_id = $1 AND step <= $2), 0)
            ORDER BY step"""
_REMNANT = "SELECT * FROM tasks WHERE id = $1 AND finished_at IS NOT NULL"


class PostgresStories:
    """Reads tasks through a pool."""

    def __init__(self, pool: asyncpg.Pool, timeout: float = TIMEOUT) -> None:
        self._pool, self._timeout = pool, timeout

    async def story(self, task_id: str, after: int = -1) -> list[Event]:
        """Return the durable events of a task in order, but for those told before a step."""
        async with lend(self._pool, self._timeout, "The journal") as connection:
            rows = await connection.fetch(_STORY, task_id, after)
        return [read_event(row) for row in rows]

    async def remnant(self, task_id: str) -> Remnant | None:
        """Return what is left of a task that has ended."""
        async with lend(self._pool, self._timeout, "The journal") as connection:
            row = await connection.fetchrow(_REMNANT, task_id)
        if row is None:
            return None
        return Remnant(
            str(row["id"]),
            row["task_type"],
            row["user_id"],
            TaskStatus(row["status"]),
            row["finished_at"].timestamp(),
            row["error_code"],
            row["reason"],
            Settlement(row["nano_usd"], row["tokens"]),
        )
