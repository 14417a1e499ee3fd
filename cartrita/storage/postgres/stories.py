"""Reads tasks back from the journal; any process may."""

import asyncpg

from cartrita.errors import ServiceUnavailable
from cartrita.journal import Event
from cartrita.storage.postgres.journal import COMMAND_TIMEOUT, read_event
from cartrita.storage.postgres.outage import AWAY

# What was said at a step may stand in a row that begins before it.
_STORY = """SELECT *, task_id::text AS id FROM task_events
            WHERE task_id = $1 AND step >= coalesce(
                (SELECT max(step) FROM task_events WHERE task_id = $1 AND step <= $2), 0)
            ORDER BY step"""


class PostgresStories:
    """Reads tasks through a pool."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def story(self, task_id: str, after: int = -1) -> list[Event]:
        """Return the durable events of a task in order, but for those told before a step."""
        try:
            rows = await self._pool.fetch(_STORY, task_id, after, timeout=COMMAND_TIMEOUT)
        except AWAY as error:
            raise ServiceUnavailable("The journal's database is away.", retry_after=2) from error
        return [read_event(row) for row in rows]
