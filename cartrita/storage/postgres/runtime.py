"""Keeps orders, audit and quarantine in PostgreSQL."""

import json
import math
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from cartrita.journal import END_STEP
from cartrita.storage.postgres.journal import read_event
from cartrita.storage.postgres.outage import lend
from cartrita.storage.postgres.values import moment, uuid_of
from cartrita.storage.runtime import (
    AuditEntry,
    QuarantinedTask,
    Settled,
    is_quarantine,
    read_quarantined,
)

_ORDERS = "SELECT key, value::text AS value FROM orders ORDER BY key"
_PUT = """
INSERT INTO orders (key, value, by) VALUES ($1, $2::text::jsonb, $3)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, at = now(), by = excluded.by
"""
_REMOVE = "DELETE FROM orders WHERE key = $1"

# The table of tasks answers for what is folded, the events behind `folded` for the rest; the
# events also know which of the table's open tasks ended since. In one snapshot, and each
# EXISTS stops at the first task that is open.
_BUSY = """
SELECT s.id FROM shards s
WHERE EXISTS (
    SELECT FROM tasks t WHERE t.shard = s.id AND t.finished_at IS NULL
        AND NOT EXISTS (SELECT FROM task_events e WHERE e.task_id = t.id AND e.step = $1))
OR EXISTS (
    SELECT FROM task_events a WHERE a.shard = s.id AND a.position > s.folded AND a.step = 0
        AND NOT EXISTS (SELECT FROM task_events e WHERE e.task_id = a.task_id AND e.step = $1))
ORDER BY s.id
"""

_NOTE = """
INSERT INTO audit_log (at, actor, action, target, outcome, detail)
VALUES ($1, $2, $3, $4, $5, $6::text::jsonb)
"""
_ENTRIES = """
SELECT id, at, actor, action, target, outcome, detail::text AS detail FROM audit_log
WHERE id < $2 ORDER BY id DESC LIMIT $1
"""
_LAST = 2**63 - 1

# The reason is written out for the sake of the partial index.
_WAITING = """
SELECT t.id, t.task_type, t.user_id, t.tenant, t.shard, t.accepted_at, e.at AS ended_at
FROM tasks t JOIN task_events e ON e.task_id = t.id AND e.step = $4
WHERE t.reason = 'QUARANTINED' AND ($1::text IS NULL OR t.user_id = $1)
    AND ($3::uuid IS NULL OR t.id < $3)
    AND NOT EXISTS (SELECT FROM quarantine_settled q WHERE q.task_id = t.id)
ORDER BY t.id DESC LIMIT $2
"""
_ENDS = """
SELECT e.*, e.task_id::text AS id, q.how, q.retried_as::text AS retried_as
FROM task_events e LEFT JOIN quarantine_settled q ON q.task_id = e.task_id
WHERE e.task_id = $1 AND e.step IN (0, $2) ORDER BY e.step
"""
_END = "SELECT *, task_id::text AS id FROM task_events WHERE task_id = $1 AND step = $2"
_SETTLE = """
INSERT INTO quarantine_settled (task_id, how, by, retried_as) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING true
"""


class Tables:
    """What everything beside the journal shares.

    Args:
        pool: Connections to the migrated database.
        timeout: Seconds one operation may take, waiting for a connection included.
    """

    def __init__(self, pool: asyncpg.Pool, timeout: float = 5.0) -> None:
        self._pool = pool
        self._timeout = timeout

    def _connection(self) -> AbstractAsyncContextManager[PoolConnectionProxy]:
        return lend(self._pool, self._timeout, "The runtime's tables")


class PostgresOrders(Tables):
    """Orders in the table `orders`."""

    async def all(self) -> dict[str, Any]:
        """Return every order in force, by its key."""
        async with self._connection() as connection:
            rows = await connection.fetch(_ORDERS)
        return {row["key"]: json.loads(row["value"]) for row in rows}

    async def put(self, key: str, value: Any, by: str) -> None:
        """Give an order, in place of the one with this key."""
        written = json.dumps(value)
        async with self._connection() as connection:
            await connection.execute(_PUT, key, written, by)

    async def remove(self, key: str) -> None:
        """Take an order back, if there is one."""
        async with self._connection() as connection:
            await connection.execute(_REMOVE, key)

    async def busy_shards(self) -> list[str]:
        """Return the shards that own accepted tasks without an end, folded or not."""
        async with self._connection() as connection:
            rows = await connection.fetch(_BUSY, END_STEP)
        return [row["id"] for row in rows]


class PostgresAudit(Tables):
    """The log of commands in the table `audit_log`."""

    async def note(self, entry: AuditEntry) -> None:
        """Add an entry, whose id is ignored; what a database cannot hold is replaced in it."""
        texts = (entry.actor, entry.action, entry.target, entry.outcome)
        row = (moment(entry.at), *map(_storable, texts), json.dumps(_storable(entry.detail)))
        async with self._connection() as connection:
            await connection.execute(_NOTE, *row)

    async def entries(self, limit: int, before: int | None) -> list[AuditEntry]:
        """Return entries, newest first."""
        below = _LAST if before is None else min(before, _LAST)
        async with self._connection() as connection:
            rows = await connection.fetch(_ENTRIES, limit, below)
        return [_entry(row) for row in rows]


class PostgresQuarantine(Tables):
    """Quarantined tasks: listed from the table of tasks, judged by their events."""

    async def waiting(
        self, user: str | None, limit: int, before: str | None
    ) -> list[QuarantinedTask]:
        """Return tasks about which nobody decided yet, newest first."""
        below = UUID(before) if before else None
        async with self._connection() as connection:
            rows = await connection.fetch(_WAITING, user, limit, below, END_STEP)
        return [_waiting(row) for row in rows]

    async def find(self, task_id: str) -> QuarantinedTask | None:
        """Return a quarantined task, settled or not."""
        key = uuid_of(task_id)
        if key is None:
            return None
        async with self._connection() as connection:
            rows = await connection.fetch(_ENDS, key, END_STEP)
        task = read_quarantined([read_event(row) for row in rows])
        if task is None:
            return None
        return replace(task, settled=rows[0]["how"], retried_as=rows[0]["retried_as"])

    async def settle(
        self, task_id: str, how: Settled, by: str, retried_as: str | None = None
    ) -> bool:
        """Decide about a task, once and for all: whose row goes in first has decided."""
        key = uuid_of(task_id)
        if key is None:
            return False
        new = UUID(retried_as) if retried_as else None
        async with self._connection() as connection:
            end = await connection.fetchrow(_END, key, END_STEP)
            if end is None or not is_quarantine(read_event(end)):
                return False
            return bool(await connection.fetchval(_SETTLE, key, how, by, new))


def _storable(value: Any) -> Any:
    """Replace what PostgreSQL refuses: NUL, lone surrogates, NaN; a log keeps the rest."""
    match value:
        case str():
            return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
        case dict():
            return {_storable(str(key)): _storable(item) for key, item in value.items()}
        case list() | tuple():
            return [_storable(item) for item in value]
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return value


def _entry(row: asyncpg.Record) -> AuditEntry:
    return AuditEntry(
        at=row["at"].timestamp(),
        actor=row["actor"],
        action=row["action"],
        target=row["target"],
        outcome=row["outcome"],
        detail=json.loads(row["detail"]),
        id=row["id"],
    )


def _waiting(row: asyncpg.Record) -> QuarantinedTask:
    return QuarantinedTask(
        str(row["id"]),
        row["task_type"],
        row["user_id"],
        row["tenant"],
        row["shard"],
        row["accepted_at"].timestamp(),
        row["ended_at"].timestamp(),
    )
