"""Keeps accounts by number and name in PostgreSQL."""

from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from cartrita.storage.people import GONE, Outcome, Person
from cartrita.storage.postgres.outage import lend
from cartrita.storage.postgres.users import user_of
from cartrita.storage.postgres.values import moment, uuid_of

_FIND = "SELECT * FROM users WHERE id = $1"
_MEANT = """
SELECT * FROM users WHERE email = lower($1) OR (lower(name) = lower($1) AND NOT disabled)
ORDER BY email <> lower($1), created_at, id LIMIT 1
"""
_CHANGE = """
UPDATE users u SET name = $2, email = $3, updated_at = $4
WHERE u.id = $1 AND NOT EXISTS (
    SELECT FROM users o WHERE o.id <> u.id AND (
        o.email = $3
        OR (lower(o.name) = lower($2) AND lower(u.name) <> lower($2) AND NOT o.disabled)
    )
) RETURNING *
"""
_PAGE = "SELECT * FROM users WHERE v2_id > $1 ORDER BY v2_id LIMIT $2"
_TAKE = """
INSERT INTO users
    (id, email, name, role, tenant, created_at, updated_at, disabled, password_hash, v2_id)
VALUES ($1, $2, $3, $4, $5, $6, $6, false, $7, $8) ON CONFLICT DO NOTHING RETURNING id
"""
_RENEW = """
UPDATE users SET name = $2, password_hash = $3 WHERE id = $1
AND NOT disabled AND password_hash LIKE '$2%' AND (name, password_hash) <> ($2, $3) RETURNING id
"""
# What refers to the row goes with it; an empty one takes its place.
_CLOSE = """
DELETE FROM users WHERE id = $1 AND split_part(email, '@', 2) <> $2
RETURNING tenant, created_at, v2_id
"""
_EMPTY = """
INSERT INTO users
    (id, email, name, password_hash, tenant, created_at, updated_at, disabled, v2_id)
VALUES ($1::uuid, $1::uuid::text || '@' || $2, '', '', $3, $4, $5, true, $6)
"""
# What does not refer to it; a tenant that has the id of its user is nobody else's.
_THEIRS = (
    "DELETE FROM conversation_turns WHERE user_id = $1::text",
    "DELETE FROM conversation_summaries WHERE user_id = $1::text",
    "DELETE FROM knowledge_entries WHERE user_id = $1::text",
    "DELETE FROM uploads WHERE owner = $1::text",
    "DELETE FROM memories WHERE tenant = $1::text",
)


class PostgresPeople:
    """Accounts in the table `users`.

    Args:
        pool: Connections to the migrated database.
        timeout: Seconds one operation may take, waiting for a connection included.
    """

    def __init__(self, pool: asyncpg.Pool, timeout: float = 5.0) -> None:
        self._pool, self._timeout = pool, timeout

    async def find(self, user_id: str) -> Person | None:
        """Return an account."""
        return await self._one(_FIND, uuid_of(user_id))

    async def meant(self, login: str) -> Person | None:
        """Return the account with this address, or else the oldest of this name."""
        return await self._one(_MEANT, login.encode("utf-8", "replace").decode().replace("\0", "?"))

    async def change(self, user_id: str, name: str, email: str, now: float) -> Person | None:
        """Replace name and address."""
        try:
            return await self._one(_CHANGE, uuid_of(user_id), name, email, moment(now))
        except asyncpg.UniqueViolationError:  # by somebody else, just now
            return None

    async def page(self, limit: int, after: int = 0) -> list[Person]:
        """Return accounts in the order of their numbers."""
        async with self._connection() as connection:
            rows = await connection.fetch(_PAGE, after, limit)
        return [_person(row) for row in rows]

    async def take_over(self, person: Person, password_hash: str, *, dry: bool = False) -> Outcome:
        """Keep an account of v2, with its number."""
        async with self._connection() as connection:
            attempt = connection.transaction()
            await attempt.start()
            try:
                outcome = await _taken_over(connection, person, password_hash)
            except BaseException:
                await attempt.rollback()
                raise
            await (attempt.rollback() if dry else attempt.commit())
        return outcome

    async def close(self, user_id: str, now: float) -> bool:
        """Empty an account and bar it for good, in one transaction."""
        key = uuid_of(user_id)
        async with self._connection() as connection, connection.transaction():
            row = await connection.fetchrow(_CLOSE, key, GONE)
            if row is None:
                return False
            tenant, created, number = row
            await connection.execute(_EMPTY, key, GONE, tenant, created, moment(now), number)
            for statement in _THEIRS:
                await connection.execute(statement, user_id)
        return True

    async def _one(self, query: str, *arguments: Any) -> Person | None:
        async with self._connection() as connection:
            row = await connection.fetchrow(query, *arguments)
        return _person(row) if row else None

    def _connection(self) -> AbstractAsyncContextManager[PoolConnectionProxy]:
        return lend(self._pool, self._timeout, "The accounts")


async def _taken_over(
    connection: PoolConnectionProxy, person: Person, password_hash: str
) -> Outcome:
    user = person.user
    key, made = UUID(user.id), moment(user.created_at)
    row = (key, user.email, user.name, user.role.value, user.tenant, made)
    if await connection.fetchval(_TAKE, *row, password_hash, person.number):
        return "added"
    if await connection.fetchval(_FIND, key) is None:
        return "taken"
    renewed = await connection.fetchval(_RENEW, key, user.name, password_hash)
    return "updated" if renewed else "kept"


def _person(row: Any) -> Person:
    v2_password = row["password_hash"].startswith("$2")
    return Person(user_of(row), row["updated_at"].timestamp(), v2_password)
