"""Reads what was said in conversations from PostgreSQL."""

# ruff: noqa: S608 - what is put into statements are names from here, never values

from contextlib import AbstractAsyncContextManager

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from cartrita.storage.postgres.outage import lend
from cartrita.storage.threads import OPENING, Said, Totals

TIMEOUT = 10.0
"""Seconds each wait for a connection or a statement may take."""

_PAGE = f"""
WITH page AS (
    SELECT number, role, content, said_at, session FROM conversation_turns
    WHERE tenant = $1 AND user_id = $2 ORDER BY number DESC LIMIT $3 OFFSET $4),
openings AS (
    SELECT DISTINCT ON (session) session, left(content, {OPENING}) AS opening
    FROM conversation_turns
    WHERE tenant = $1 AND user_id = $2 AND session IN (SELECT session FROM page)
    ORDER BY session, number)
SELECT number, role, content, said_at, session, opening
FROM page JOIN openings USING (session) ORDER BY number
"""
_TOTALS = """
SELECT count(*) FILTER (WHERE role = 'user') AS asked,
    count(*) FILTER (WHERE role = 'assistant') AS answered,
    min(said_at) AS first_at, max(said_at) AS last_at
FROM conversation_turns WHERE tenant = $1 AND user_id = $2
"""
_CLEAR = """
WITH summaries AS (DELETE FROM conversation_summaries WHERE tenant = $1 AND user_id = $2),
turns AS (
    DELETE FROM conversation_turns WHERE tenant = $1 AND user_id = $2 RETURNING session)
SELECT count(DISTINCT session) FROM turns
"""


class PostgresHistory:
    """The history that the store of conversations has.

    Args:
        pool: Connections to the migrated database.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def page(self, tenant: str, user: str, limit: int, offset: int) -> list[Said]:
        """Return the last messages, oldest first."""
        async with self._connection() as connection:
            rows = await connection.fetch(_PAGE, tenant, user, limit, offset, timeout=TIMEOUT)
        return [
            Said(
                number=row["number"],
                role=row["role"],
                content=row["content"],
                said_at=row["said_at"].timestamp(),
                session=row["session"],
                opening=row["opening"],
            )
            for row in rows
        ]

    async def totals(self, tenant: str, user: str) -> Totals:
        """Return how much there is."""
        async with self._connection() as connection:
            row = await connection.fetchrow(_TOTALS, tenant, user, timeout=TIMEOUT)
        assert row is not None  # sums of nothing are a row, too
        first, last = (at.timestamp() if at else None for at in (row["first_at"], row["last_at"]))
        return Totals(row["asked"], row["answered"], first, last)

    async def clear(self, tenant: str, user: str) -> int:
        """Delete all of a user's conversations."""
        async with self._connection() as connection:
            gone: int = await connection.fetchval(_CLEAR, tenant, user, timeout=TIMEOUT)
        return gone

    def _connection(self) -> AbstractAsyncContextManager[PoolConnectionProxy]:
        return lend(self._pool, TIMEOUT, "The store of conversations")
