"""Keeps answers by meaning in PostgreSQL with pgvector."""

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from cartrita.clock import Clock
from cartrita.storage.answers import Alike, Entry, Likeness
from cartrita.storage.postgres.outage import lend
from cartrita.storage.postgres.vectors import literal

NEWEST = 5_000
"""Questions of one scope that are compared one by one: some six milliseconds. Older ones are
not found any more, and expire."""

_PUT = """
INSERT INTO answers
    (tenant, key, owner, scope, embedding_model, embedding, body, stored_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6::text::halfvec, $7, $8, $9)
ON CONFLICT (tenant, key) DO UPDATE SET
    owner = excluded.owner, scope = excluded.scope, embedding_model = excluded.embedding_model,
    embedding = excluded.embedding, body = excluded.body, stored_at = excluded.stored_at,
    expires_at = excluded.expires_at
"""
_NEAREST = """
WITH newest AS MATERIALIZED (
    SELECT key, 1 - (embedding <=> (SELECT $4::text::halfvec)) AS score FROM answers
    WHERE tenant = $1 AND scope = $2 AND embedding_model = $3 AND expires_at > $5
    ORDER BY stored_at DESC LIMIT $6),
best AS (SELECT key, score FROM newest WHERE score >= $7 ORDER BY score DESC, key LIMIT 1)
SELECT a.body, b.score FROM best b JOIN answers a ON a.tenant = $1 AND a.key = b.key
"""
_KNOWS = """
SELECT EXISTS (SELECT FROM answers WHERE tenant = $1 AND scope = $2 AND expires_at > $3)
"""
_FORGET = "DELETE FROM answers WHERE tenant = $1 OR owner = $2"


class PostgresMeanings:
    """Answers by meaning; expiry is by the clock of whoever asks.

    Args:
        pool: Connections to the migrated database.
        timeout: Seconds each wait for a connection or a statement may take.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        clock: Clock,
        timeout: float = 2.0,
        newest: int = NEWEST,
    ) -> None:
        self._pool, self._clock = pool, clock
        self._timeout, self._newest = timeout, newest

    async def knows(self, tenant: str, scope: str) -> bool:
        """Tell whether there is anything to compare a question of this scope with."""
        asked = (tenant, scope, self._now())
        async with self._connection() as connection:
            found: bool = await connection.fetchval(_KNOWS, *asked, timeout=self._timeout)
        return found

    async def nearest(self, tenant: str, asked: Likeness, least: float) -> Alike | None:
        """Return the answer to the most alike question; None where none is at least that."""
        vector, now = literal(asked.vector), self._now()
        question = (tenant, asked.scope, asked.model, vector, now, self._newest, least)
        async with self._connection() as connection:
            row = await connection.fetchrow(_NEAREST, *question, timeout=self._timeout)
        return Alike(row["body"], float(row["score"])) if row else None

    async def put(self, entry: Entry, asked: Likeness) -> None:
        """Keep an answer, in the place of an older one with its key."""
        now = self._now()
        values = (
            entry.owner.tenant,
            entry.key,
            entry.owner.user,
            asked.scope,
            asked.model,
            literal(asked.vector),
            entry.body,
            now,
            now + timedelta(seconds=entry.seconds),
        )
        async with self._connection() as connection:
            await connection.execute(_PUT, *values, timeout=self._timeout)

    async def forget(self, *, tenant: str | None = None, user: str | None = None) -> int:
        """Delete all answers of a tenant, or of a user in every tenant; returns how many."""
        async with self._connection() as connection:
            done = await connection.execute(_FORGET, tenant, user, timeout=self._timeout)
        return int(done.rpartition(" ")[2])

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)

    def _connection(self) -> AbstractAsyncContextManager[PoolConnectionProxy]:
        return lend(self._pool, self._timeout, "The answers that are kept")
