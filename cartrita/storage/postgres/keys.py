"""Keeps API keys in PostgreSQL."""

from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from cartrita.storage.apikeys import ApiKey, Held
from cartrita.storage.postgres.outage import lend
from cartrita.storage.postgres.users import user_of
from cartrita.storage.postgres.values import moment, uuid_of, whose

# Whoever adds a key of a user waits for whoever does so now, or the two would not see each
# other's when they count.
_LOCK = "SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE"
_FORGET = "DELETE FROM api_keys WHERE user_id = $1 AND expires_at <= $2"
_ADD = """
INSERT INTO api_keys (id, hash, user_id, name, scopes, created_at, expires_at)
SELECT $1, $2, $3, $4, $5, $6, $7
WHERE (SELECT count(*) FROM api_keys WHERE user_id = $3) < $8 RETURNING id
"""
_KEY = """
k.id AS key_id, k.user_id, k.name AS key_name, k.scopes, k.created_at AS made_at, k.expires_at,
k.last_used_at
"""
_FIND = f"SELECT {_KEY}, u.* FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.hash = $1"  # noqa: S608 - names of ours
_PAGE = f"""
SELECT {_KEY} FROM api_keys k
WHERE ($1::uuid IS NULL OR k.user_id = $1) AND ($2::uuid IS NULL OR k.id < $2)
ORDER BY k.id DESC LIMIT $3
"""  # noqa: S608 - names of ours
_REMOVE = f"""
DELETE FROM api_keys k WHERE k.id = $1 AND ($2::uuid IS NULL OR k.user_id = $2) RETURNING {_KEY}
"""  # noqa: S608 - names of ours
_TOUCH = "UPDATE api_keys SET last_used_at = greatest(last_used_at, $2) WHERE id = $1"


class PostgresKeys:
    """API keys in the table `api_keys`.

    Args:
        pool: Connections to the migrated database.
        timeout: Seconds one operation may take, waiting for a connection included.
    """

    def __init__(self, pool: asyncpg.Pool, timeout: float = 5.0) -> None:
        self._pool = pool
        self._timeout = timeout

    async def add(self, key: ApiKey, digest: bytes, most: int) -> bool:
        """Keep a key, unless its user has `most` or is no account here."""
        user = uuid_of(key.user_id)
        made, ends = moment(key.created_at), moment(key.expires_at)
        row = (UUID(key.id), digest, user, key.name, list(key.scopes), made, ends)
        async with self._connection() as connection, connection.transaction():
            if await connection.fetchval(_LOCK, user) is None:
                return False
            await connection.execute(_FORGET, user, made)
            return await connection.fetchval(_ADD, *row, most) is not None

    async def find(self, digest: bytes) -> Held | None:
        """Return the key with this digest."""
        async with self._connection() as connection:
            row = await connection.fetchrow(_FIND, digest)
        return Held(_key(row), user_of(row)) if row else None

    async def page(self, user_id: str | None, limit: int, before: str | None) -> list[ApiKey]:
        """Return keys, newest first."""
        last = None if before is None else UUID(before)
        async with self._connection() as connection:
            rows = await connection.fetch(_PAGE, whose(user_id), last, limit)
        return [_key(row) for row in rows]

    async def remove(self, key_id: str, user_id: str | None) -> ApiKey | None:
        """Forget a key and return it."""
        async with self._connection() as connection:
            row = await connection.fetchrow(_REMOVE, UUID(key_id), whose(user_id))
        return _key(row) if row else None

    async def touch(self, key_id: str, now: float) -> None:
        """Note that a key was used."""
        async with self._connection() as connection:
            await connection.execute(_TOUCH, UUID(key_id), moment(now))

    def _connection(self) -> AbstractAsyncContextManager[PoolConnectionProxy]:
        return lend(self._pool, self._timeout, "The API keys")


def _key(row: Any) -> ApiKey:
    used = row["last_used_at"]
    return ApiKey(
        id=str(row["key_id"]),
        user_id=str(row["user_id"]),
        name=row["key_name"],
        scopes=tuple(row["scopes"]),
        created_at=row["made_at"].timestamp(),
        expires_at=row["expires_at"].timestamp(),
        last_used_at=used.timestamp() if used else None,
    )
