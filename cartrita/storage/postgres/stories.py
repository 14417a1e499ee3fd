"""Reads tasks back from the journal; any process may."""

from typing import Any

import asyncpg

from cartrita.errors import ServiceUnavailable
from cartrita.journal import Event, Relative, Settlement
from cartrita.protocol.task import TaskStatus
from cartrita.storage.postgres.journal import COMMAND_TIMEOUT, read_event
from cartrita.storage.postgres.outage import AWAY

# What was said at a step may stand in a row that begins before it.
_STORY = """SELECT *, task_id::text AS id FROM task_events
            WHERE task_id = $1 AND step >= coalesce(
                (SELECT max(step) FROM task_events WHERE task_id = $1 AND step <= $2), 0)
            ORDER BY step"""

# A task's own sub-tasks come before theirs, so a limit leaves nobody without a parent.
_FAMILY = """WITH RECURSIVE family AS (
    SELECT * FROM tasks WHERE parent = $1
    UNION ALL SELECT t.* FROM tasks t JOIN family f ON t.parent = f.id)
SELECT *, id::text AS task_id, parent::text AS above,
    extract(epoch FROM accepted_at)::float8 AS accepted,
    extract(epoch FROM finished_at)::float8 AS finished
FROM (SELECT * FROM family LIMIT $2) AS relatives ORDER BY accepted_at, id"""


class PostgresStories:
    """Reads tasks through a pool."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def story(self, task_id: str, after: int = -1) -> list[Event]:
        """Return the durable events of a task in order, but for those told before a step."""
        return [read_event(row) for row in await self._fetch(_STORY, task_id, after)]

    async def family(self, task_id: str, most: int) -> list[Relative]:
        """Return the sub-tasks of a task and theirs in turn, oldest first."""
        return [_relative(row) for row in await self._fetch(_FAMILY, task_id, most)]

    async def _fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        try:
            return list(await self._pool.fetch(query, *arguments, timeout=COMMAND_TIMEOUT))
        except AWAY as error:
            raise ServiceUnavailable("The journal's database is away.", retry_after=2) from error


def _relative(row: asyncpg.Record) -> Relative:
    return Relative(
        row["task_id"],
        row["above"],
        row["task_type"],
        TaskStatus(row["status"]),
        row["accepted"],
        row["finished"],
        row["error_code"],
        row["reason"],
        Settlement(row["nano_usd"], row["tokens"]),
    )
