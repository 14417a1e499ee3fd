"""Keeps what is known of uploads in PostgreSQL."""

# ruff: noqa: S608 - what is put into statements are names from here, never values

from contextlib import AbstractAsyncContextManager
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from cartrita.storage.postgres.outage import lend
from cartrita.storage.postgres.values import moment
from cartrita.storage.uploads import Upload, Which

TIMEOUT = 10.0
"""Seconds each wait for a connection or a statement may take."""

# Of two that come at once each would see room for itself: one waits for the other.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('upload ' || $1, 0))"
_ADD = """
INSERT INTO uploads (id, owner, blob, name, kind, size, created_at, expires_at)
SELECT $1, $2, $3, $4, $5, $6, $7, $8
WHERE (SELECT count(*) FROM uploads WHERE owner = $2 AND expires_at > $7) < $9
RETURNING true
"""
_COLUMNS = "id, owner, blob, name, kind, size, created_at, expires_at"
_FIND = f"SELECT {_COLUMNS} FROM uploads WHERE id = $1"
_WHICH = """
owner = $1 AND ($3 = 'include' OR (expires_at <= $2) = ($3 = 'only'))
    AND ($4::text IS NULL OR kind = $4 OR starts_with(kind, $4 || '/'))
"""
_PAGE = f"""
SELECT {_COLUMNS} FROM uploads WHERE {_WHICH}
ORDER BY created_at DESC, id DESC LIMIT $5 OFFSET $6
"""
_COUNT = f"SELECT count(*) FROM uploads WHERE {_WHICH}"
_REMOVE = "DELETE FROM uploads WHERE id = $1 RETURNING true"
_DROP = f"""
DELETE FROM uploads WHERE id IN (
    SELECT id FROM uploads WHERE expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING {_COLUMNS}
"""


class PostgresUploads:
    """Uploads in one table.

    Args:
        pool: Connections to the migrated database.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def add(self, upload: Upload, most: int) -> bool:
        """Note one, unless its owner has too many."""
        told = (upload.id, upload.owner, upload.blob, upload.name, upload.kind, upload.size)
        times = (moment(upload.created_at), moment(upload.expires_at))
        async with self._connection() as connection, connection.transaction():
            await connection.execute(_LOCK, upload.owner, timeout=TIMEOUT)
            return bool(await connection.fetchval(_ADD, *told, *times, most, timeout=TIMEOUT))

    async def find(self, upload_id: UUID) -> Upload | None:
        """Return one."""
        async with self._connection() as connection:
            row = await connection.fetchrow(_FIND, upload_id, timeout=TIMEOUT)
        return _upload(row) if row else None

    async def page(
        self, owner: str, which: Which, limit: int, offset: int
    ) -> tuple[list[Upload], int]:
        """Return an owner's, newest first, and how many there are."""
        asked = (owner, moment(which.now), which.expired, which.kind)
        async with self._connection() as connection:
            total = await connection.fetchval(_COUNT, *asked, timeout=TIMEOUT)
            rows = await connection.fetch(_PAGE, *asked, limit, offset, timeout=TIMEOUT)
        return [_upload(row) for row in rows], total

    async def remove(self, upload_id: UUID) -> bool:
        """Forget one."""
        async with self._connection() as connection:
            return bool(await connection.fetchval(_REMOVE, upload_id, timeout=TIMEOUT))

    async def drop(self, before: float, limit: int) -> list[Upload]:
        """Forget some of those that expired."""
        async with self._connection() as connection:
            rows = await connection.fetch(_DROP, moment(before), limit, timeout=TIMEOUT)
        return [_upload(row) for row in rows]

    def _connection(self) -> AbstractAsyncContextManager[PoolConnectionProxy]:
        return lend(self._pool, TIMEOUT, "The list of uploads")


def _upload(row: asyncpg.Record) -> Upload:
    told = dict(row)
    times = {name: told[name].timestamp() for name in ("created_at", "expires_at")}
    return Upload(**(told | times))
