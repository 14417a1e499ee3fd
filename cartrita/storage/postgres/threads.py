"""Keeps checkpoints and conversations in PostgreSQL."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from cartrita.storage.postgres.outage import lend
from cartrita.storage.threads import Kept, Owner, Recollection, Turn, Write

TIMEOUT = 10.0
"""Seconds each wait for a connection or a statement may take."""

_PUT = """
INSERT INTO checkpoints (thread, space, id, parent, kind, data, notes_kind, notes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (thread, space, id) DO UPDATE SET parent = excluded.parent, kind = excluded.kind,
    data = excluded.data, notes_kind = excluded.notes_kind, notes = excluded.notes
"""
_WRITE = """
INSERT INTO checkpoint_writes (thread, space, id, task, place, channel, kind, data, path)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (thread, space, id, task, place) DO UPDATE SET channel = excluded.channel,
    kind = excluded.kind, data = excluded.data, path = excluded.path
WHERE excluded.place < 0
"""
_KEPT = "SELECT thread, space, id, parent, kind, data, notes_kind, notes FROM checkpoints"
_LATEST = f"""{_KEPT} WHERE thread = $1 AND space = $2 AND ($3::text IS NULL OR id = $3)
ORDER BY id DESC LIMIT 1"""
_LIST = f"""{_KEPT} WHERE thread = $1 AND ($2::text IS NULL OR space = $2)
ORDER BY id DESC LIMIT $3"""
_WRITES = """
SELECT task, place, channel, kind, data, path FROM checkpoint_writes
WHERE thread = $1 AND space = $2 AND id = $3 ORDER BY path, task, place
"""
# No task lives longer than a day, so what is older belongs to one that ended otherwise.
_FORGET = """
WITH gone AS (
    DELETE FROM checkpoint_writes WHERE thread = $1 OR made_at < now() - interval '2 days')
DELETE FROM checkpoints WHERE thread = $1 OR made_at < now() - interval '2 days'
"""

_ADD = """
INSERT INTO conversation_turns (tenant, user_id, session, task, role, content)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant, user_id, session, task, role) DO UPDATE SET content = excluded.content
"""
_TURNS = """
SELECT role, content, task, number FROM conversation_turns
WHERE tenant = $1 AND user_id = $2 AND session = $3 AND NOT folded ORDER BY number
"""
_SUMMARY = """
SELECT summary FROM conversation_summaries WHERE tenant = $1 AND user_id = $2 AND session = $3
"""
_DROP_SUMMARY = """
DELETE FROM conversation_summaries WHERE tenant = $1 AND user_id = $2 AND session = $3
"""
_DROP_TURNS = """
DELETE FROM conversation_turns WHERE tenant = $1 AND user_id = $2 AND session = $3 RETURNING 1
"""
_SET_ASIDE = """
UPDATE conversation_turns SET folded = true
WHERE tenant = $1 AND user_id = $2 AND session = $3 AND number <= $4 AND NOT folded
"""
_FOLD = """
INSERT INTO conversation_summaries (tenant, user_id, session, summary) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant, user_id, session) DO UPDATE
SET summary = excluded.summary, made_at = now()
WHERE conversation_summaries.summary = $5 RETURNING true
"""


class PostgresCheckpoints:
    """Checkpoints in two tables.

    Args:
        pool: Connections to the migrated database.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def put(self, kept: Kept) -> None:
        """Keep a checkpoint."""
        notes = (kept.kind, kept.data, kept.notes_kind, kept.notes)
        async with self._connection() as connection:
            await connection.execute(
                _PUT, kept.thread, kept.space, kept.id, kept.parent, *notes, timeout=TIMEOUT
            )

    async def write(self, thread: str, space: str, id: str, writes: Sequence[Write]) -> None:  # noqa: A002
        """Keep what was done on top of a checkpoint, all or none."""
        rows = [
            (
                thread,
                space,
                id,
                item.task,
                item.place,
                item.channel,
                item.kind,
                item.data,
                item.path,
            )
            for item in writes
        ]
        async with self._connection() as connection:
            await connection.executemany(_WRITE, rows, timeout=TIMEOUT)

    async def latest(
        self,
        thread: str,
        space: str,
        id: str | None = None,  # noqa: A002
    ) -> Kept | None:
        """Return a checkpoint, the last one by default."""
        async with self._connection() as connection:
            row = await connection.fetchrow(_LATEST, thread, space, id, timeout=TIMEOUT)
        return Kept(*row) if row else None

    async def writes(self, thread: str, space: str, id: str) -> list[Write]:  # noqa: A002
        """Return what was done on top of one."""
        async with self._connection() as connection:
            rows = await connection.fetch(_WRITES, thread, space, id, timeout=TIMEOUT)
        return [Write(*row) for row in rows]

    async def list(self, thread: str, space: str | None, limit: int) -> list[Kept]:
        """Return a thread's checkpoints, the last one first."""
        async with self._connection() as connection:
            rows = await connection.fetch(_LIST, thread, space, limit, timeout=TIMEOUT)
        return [Kept(*row) for row in rows]

    async def forget(self, thread: str) -> None:
        """Delete a thread, and what was left lying for two days."""
        async with self._connection() as connection:
            await connection.execute(_FORGET, thread, timeout=TIMEOUT)

    def _connection(self) -> AbstractAsyncContextManager[PoolConnectionProxy]:
        return lend(self._pool, TIMEOUT, "The checkpoint store")


class PostgresConversations:
    """Conversations in two tables.

    Args:
        pool: Connections to the migrated database.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def recall(self, owner: Owner) -> Recollection:
        """Return what is known, of one moment."""
        async with (
            self._connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            summary = await connection.fetchval(_SUMMARY, *_names(owner), timeout=TIMEOUT)
            rows = await connection.fetch(_TURNS, *_names(owner), timeout=TIMEOUT)
        return Recollection(summary or "", tuple(Turn(*row) for row in rows))

    async def add(self, owner: Owner, turns: Sequence[Turn]) -> None:
        """Remember turns, all or none."""
        rows = [
            (*_names(owner), turn.task, turn.role, turn.content.replace("\x00", "\ufffd"))
            for turn in turns
        ]
        async with self._connection() as connection:
            await connection.executemany(_ADD, rows, timeout=TIMEOUT)

    async def fold(self, owner: Owner, last: int, summary: str, before: str) -> None:
        """Put a summary in the place of turns and of an earlier one."""
        text = summary.replace("\x00", "\ufffd")
        async with self._connection() as connection, connection.transaction():
            names = _names(owner)
            if await connection.fetchval(_FOLD, *names, text, before, timeout=TIMEOUT):
                await connection.execute(_SET_ASIDE, *names, last, timeout=TIMEOUT)

    async def forget(self, owner: Owner) -> int:
        """Delete a conversation."""
        async with self._connection() as connection, connection.transaction():
            await connection.execute(_DROP_SUMMARY, *_names(owner), timeout=TIMEOUT)
            rows = await connection.fetch(_DROP_TURNS, *_names(owner), timeout=TIMEOUT)
        return len(rows)

    def _connection(self) -> AbstractAsyncContextManager[PoolConnectionProxy]:
        return lend(self._pool, TIMEOUT, "The store of conversations")


def _names(owner: Owner) -> tuple[str, str, str]:
    return owner.tenant, owner.user, owner.session
