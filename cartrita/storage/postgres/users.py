"""Keeps accounts and sessions in PostgreSQL."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from cartrita.protocol.principal import Role
from cartrita.storage.ports import Grant, Login, Renewal, User
from cartrita.storage.postgres.outage import lend
from cartrita.storage.postgres.values import moment, uuid_of

_ADD = """
INSERT INTO users (id, email, name, role, tenant, created_at, disabled, password_hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (email) DO NOTHING RETURNING id
"""
_FIND = "SELECT * FROM users WHERE id = $1"
_FIND_LOGIN = "SELECT * FROM users WHERE email = $1"
_SET_PASSWORD = "UPDATE users SET password_hash = $2 WHERE id = $1"  # noqa: S105 - SQL

_GRANT = """
INSERT INTO refresh_tokens (hash, family, user_id, issued_at, expires_at)
VALUES ($1, $2, $3, $4, $5)
"""
_FORGET = "DELETE FROM refresh_tokens WHERE user_id = $1 AND expires_at <= $2"

# One change of a session at a time: twins of a token queue up, and no successor is added
# behind the back of a revocation, whose UPDATE would not see it. Taken in a statement of its
# own, so that the next one sees what the holder before wrote.
_LOCK_OF = """
SELECT pg_advisory_xact_lock(hashtextextended(family::text, 0)) FROM refresh_tokens WHERE hash = $1
"""
_LOCK = """
SELECT pg_advisory_xact_lock(hashtextextended(family, 0))
FROM (SELECT DISTINCT family FROM unnest($1::text[]) AS family ORDER BY family) AS ordered
"""
_PRESENTED = """
SELECT u.*, r.family, r.used_at FROM refresh_tokens r JOIN users u ON u.id = r.user_id
WHERE r.hash = $1 AND r.expires_at > $2 AND r.revoked_at IS NULL
"""
_SPEND = "UPDATE refresh_tokens SET used_at = $2 WHERE hash = $1"

_FAMILIES = """
SELECT DISTINCT family FROM refresh_tokens
WHERE user_id = $1 AND ($2::bytea IS NULL OR hash = $2) ORDER BY family
"""
_END = """
UPDATE refresh_tokens SET revoked_at = $2 WHERE family = ANY($1::uuid[]) AND revoked_at IS NULL
"""
_SWEEP = "DELETE FROM revoked_tokens WHERE expires_at <= $1"
_BAR = """
INSERT INTO revoked_tokens (jti, expires_at)
SELECT DISTINCT jti, $2::timestamptz FROM unnest($1::text[]) AS jti ORDER BY jti
ON CONFLICT (jti) DO UPDATE SET expires_at = greatest(revoked_tokens.expires_at, $2)
"""
_BARRED = """
SELECT EXISTS (SELECT FROM revoked_tokens WHERE jti = ANY($1::text[]))
    OR ($2 AND NOT EXISTS (SELECT FROM users WHERE id = $3 AND NOT disabled))
"""


class PostgresUsers:
    """Accounts and sessions in the tables `users`, `refresh_tokens`, `revoked_tokens`.

    Args:
        pool: Connections to the migrated database.
        timeout: Seconds one operation may take, waiting for a connection included.
    """

    def __init__(self, pool: asyncpg.Pool, timeout: float = 5.0) -> None:
        self._pool = pool
        self._timeout = timeout

    async def add(self, user: User, password_hash: str) -> bool:
        """Add an account, unless the address is taken."""
        created = moment(user.created_at)
        row = (UUID(user.id), user.email, user.name, user.role.value, user.tenant, created)
        async with self._connection() as connection:
            made = await connection.fetchval(_ADD, *row, user.disabled, password_hash)
        return made is not None

    async def find(self, user_id: str) -> User | None:
        """Return an account."""
        key = uuid_of(user_id)
        if key is None:
            return None
        async with self._connection() as connection:
            row = await connection.fetchrow(_FIND, key)
        return user_of(row) if row else None

    async def find_login(self, email: str) -> Login | None:
        """Return the account with this address, with its password's hash."""
        async with self._connection() as connection:
            row = await connection.fetchrow(_FIND_LOGIN, email)
        return Login(user_of(row), row["password_hash"]) if row else None

    async def set_password(self, user_id: str, password_hash: str) -> None:
        """Replace the hash; sessions go on."""
        async with self._connection() as connection:
            await connection.execute(_SET_PASSWORD, uuid_of(user_id), password_hash)

    async def grant(self, grant: Grant) -> None:
        """Begin a session. Forgets this user's expired tokens on the way."""
        user, issued, expires = UUID(grant.user_id), grant.issued_at, grant.expires_at
        times = moment(issued), moment(expires)
        async with self._connection() as connection, connection.transaction():
            await connection.execute(_FORGET, user, times[0])
            await connection.execute(_GRANT, grant.digest, UUID(grant.family), user, *times)

    async def renew(self, spent: bytes, fresh: bytes, now: float, expires_at: float) -> Renewal:
        """Spend one refresh token and put another in its place, in one transaction."""
        at = moment(now)
        async with self._connection() as connection, connection.transaction():
            # A token that appears just now has no lock yet: nobody was given it so far.
            locked = await connection.fetch(_LOCK_OF, spent)
            row = await connection.fetchrow(_PRESENTED, spent, at) if locked else None
            if row is None:
                return Renewal()
            if row["used_at"] is not None:
                return Renewal(reused=str(row["family"]))
            if row["disabled"]:
                return Renewal()
            await connection.execute(_SPEND, spent, at)
            times = at, moment(expires_at)
            await connection.execute(_GRANT, fresh, row["family"], row["id"], *times)
            return Renewal(user_of(row), str(row["family"]))

    async def families(self, user_id: str, digest: bytes | None = None) -> tuple[str, ...]:
        """Return a user's sessions, or only the one that a refresh token of theirs is of."""
        async with self._connection() as connection:
            rows = await connection.fetch(_FAMILIES, uuid_of(user_id), digest)
        return tuple(str(row["family"]) for row in rows)

    async def revoke(
        self, families: Sequence[str], tokens: Sequence[str], now: float, until: float
    ) -> None:
        """End sessions, and bar access tokens, in one transaction."""
        at = moment(now)
        async with self._connection() as connection, connection.transaction():
            await connection.execute(_LOCK, list(families))
            await connection.execute(_END, [UUID(family) for family in families], at)
            await connection.execute(_SWEEP, at)
            await connection.execute(_BAR, [*families, *tokens], moment(until))

    async def barred(self, ids: Sequence[str], user_id: str | None) -> bool:
        """Tell whether one of these was revoked, or the user may not come in."""
        key = None if user_id is None else uuid_of(user_id)
        async with self._connection() as connection:
            found = await connection.fetchval(_BARRED, list(ids), user_id is not None, key)
        return bool(found)

    def _connection(self) -> AbstractAsyncContextManager[PoolConnectionProxy]:
        return lend(self._pool, self._timeout, "The accounts")


def user_of(row: Any) -> User:
    """Return the account that a row of `users` holds."""
    return User(
        id=str(row["id"]),
        email=row["email"],
        name=row["name"],
        role=Role(row["role"]),
        tenant=row["tenant"],
        created_at=row["created_at"].timestamp(),
        disabled=row["disabled"],
        v2_id=row["v2_id"],
    )
