"""Reads tasks back from the journal; any process may."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from cartrita.journal import Event, EventKind, Relative, Remnant, Settlement
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
_REMEMBERED = """SELECT task_id::text AS id FROM task_events
                 WHERE task_id = ANY ($1::uuid[]) AND step = 0"""
_ENDED = """SELECT task_id::text AS id FROM (
                SELECT task_id, kind, at FROM task_events WHERE shard = $1
                ORDER BY position DESC LIMIT $3) AS latest
            WHERE kind >= $4 AND at > to_timestamp($2)"""
_REMNANT = "SELECT * FROM tasks WHERE id = $1 AND finished_at IS NOT NULL"

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

    def __init__(self, pool: asyncpg.Pool, timeout: float = TIMEOUT) -> None:
        self._pool, self._timeout = pool, timeout

    async def story(self, task_id: str, after: int = -1) -> list[Event]:
        """Return the durable events of a task in order, but for those told before a step."""
        return [read_event(row) for row in await self._fetch(_STORY, task_id, after)]

    async def family(self, task_id: str, most: int) -> list[Relative]:
        """Return the sub-tasks of a task and theirs in turn, oldest first."""
        return [_relative(row) for row in await self._fetch(_FAMILY, task_id, most)]

    async def remembered(self, task_ids: Sequence[str]) -> set[str]:
        """Return those of these tasks that have events."""
        return {row["id"] for row in await self._fetch(_REMEMBERED, list(task_ids))}

    async def ended(self, shard: str, after: float, most: int) -> list[str]:
        """Return the tasks of a shard that ended last, the latest first."""
        rows = await self._fetch(_ENDED, shard, after, most, EventKind.COMPLETED)
        return [row["id"] for row in rows]

    async def _fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        async with lend(self._pool, self._timeout, "The journal") as connection:
            return list(await connection.fetch(query, *arguments))

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
