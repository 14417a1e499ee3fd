"""Keeps sealed keys of providers in PostgreSQL."""

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from cartrita.storage.postgres.outage import lend
from cartrita.storage.postgres.values import id_of, moment, whose
from cartrita.storage.vault import Added, Held, Sealed, VaultKey, Version

# Whoever adds a key of an owner waits for whoever does so now, or the two would not see each
# other's when they count. The instance has no row to lock.
_LOCK = "SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE"
_LOCK_INSTANCE = "SELECT pg_advisory_xact_lock(hashtextextended('cartrita.vault', 0))"
_MINE = "k.owner IS NOT DISTINCT FROM $1"
_COUNT = f"SELECT count(*) FROM vault_keys k WHERE {_MINE} AND k.deleted_at IS NULL"  # noqa: S608 - ours
_ADD = """
INSERT INTO vault_keys (owner, id, provider, name, category, visibility, scopes, tags, metadata,
    active, expires_at, rotate_days, rotate_policy, version, rotated_at, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT DO NOTHING RETURNING id
"""
_HELD = """
SELECT k.*, v.number, v.master, v.nonce, v.box, v.checksum, v.at, v.reason
FROM vault_keys k JOIN vault_versions v ON v.key = k.id AND v.number = k.version
"""
_ALIVE = f"{_HELD} WHERE {_MINE} AND k.deleted_at IS NULL"
_PUT_VERSION = """
INSERT INTO vault_versions (key, number, master, nonce, box, checksum, at, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_STEP = f"""
UPDATE vault_keys k SET version = $3, rotated_at = $4, updated_at = $4
WHERE {_MINE} AND k.id = $2 AND k.version = $3 - 1 AND k.deleted_at IS NULL RETURNING k.id
"""  # noqa: S608 - ours
_TRIM = "DELETE FROM vault_versions WHERE key = $1 AND number <= $2"
_RESEAL = f"""
UPDATE vault_versions v SET master = $4, nonce = $5, box = $6, checksum = $7
FROM vault_keys k WHERE k.id = v.key AND {_MINE} AND v.key = $2 AND v.number = $3 RETURNING v.key
"""  # noqa: S608 - ours
_VERSIONS = f"""
SELECT v.* FROM vault_versions v JOIN vault_keys k ON k.id = v.key
WHERE {_MINE} AND v.key = $2 AND k.deleted_at IS NULL ORDER BY v.number DESC
"""  # noqa: S608 - ours
_CHANGE = f"""
UPDATE vault_keys k SET category = $3, visibility = $4, scopes = $5, tags = $6, metadata = $7,
    active = $8, expires_at = $9, rotate_days = $10, rotate_policy = $11, updated_at = $12
WHERE {_MINE} AND k.id = $2 AND k.deleted_at IS NULL RETURNING k.id
"""  # noqa: S608 - ours
_REMOVE = f"""
UPDATE vault_keys k SET deleted_at = $3
WHERE {_MINE} AND k.id = $2 AND k.deleted_at IS NULL RETURNING k.id
"""  # noqa: S608 - ours
_RESTORE = f"""
UPDATE vault_keys SET deleted_at = NULL, updated_at = $4 WHERE id = (
    SELECT k.id FROM vault_keys k
    WHERE {_MINE} AND k.provider = $2 AND k.name = $3 AND k.deleted_at IS NOT NULL
    ORDER BY k.deleted_at DESC, k.id DESC LIMIT 1) RETURNING id
"""  # noqa: S608 - ours
_TOUCH = f"""
UPDATE vault_keys k SET used = used + 1, last_used_at = greatest(last_used_at, $3)
WHERE {_MINE} AND k.id = $2
"""  # noqa: S608 - ours
_CENSUS = """
SELECT count(*) AS total, count(*) FILTER (WHERE active) AS active,
    count(*) FILTER (WHERE expires_at <= $1) AS expired,
    count(*) FILTER (WHERE rotated_at + make_interval(days => rotate_days) <= $1) AS due,
    count(DISTINCT owner) AS owners
FROM vault_keys WHERE deleted_at IS NULL
"""


class PostgresVaultKeys:
    """Keys in the tables `vault_keys` and `vault_versions`.

    Args:
        pool: Connections to the migrated database.
        timeout: Seconds one operation may take, waiting for a connection included.
    """

    def __init__(self, pool: asyncpg.Pool, timeout: float = 5.0) -> None:
        self._pool, self._timeout = pool, timeout

    async def add(self, key: VaultKey, version: Version, most: int) -> Added:
        """Keep a key, unless it may not be."""
        owner = whose(key.owner)
        async with self._connection() as connection, connection.transaction():
            if owner is None:
                await connection.execute(_LOCK_INSTANCE)
            elif await connection.fetchval(_LOCK, owner) is None:
                return "nobody"
            if await connection.fetchval(_COUNT, owner) >= most:
                return "full"
            if await connection.fetchval(_ADD, *_row(key)) is None:
                return "taken"
            await connection.execute(_PUT_VERSION, UUID(key.id), *_version_row(version))
        return "added"

    async def find(self, owner: str | None, key_id: str) -> Held | None:
        """Return a key that is not deleted."""
        query = f"{_ALIVE} AND k.id = $2"
        async with self._connection() as connection:
            row = await connection.fetchrow(query, whose(owner), id_of(key_id))
        return _held(row) if row else None

    async def named(self, owner: str | None, provider: str, name: str) -> Held | None:
        """Return the key of that name."""
        query = f"{_ALIVE} AND k.provider = $2 AND k.name = $3"
        async with self._connection() as connection:
            row = await connection.fetchrow(query, whose(owner), provider, name)
        return _held(row) if row else None

    async def all(self, owner: str | None) -> list[Held]:
        """Return all that are not deleted, newest first."""
        async with self._connection() as connection:
            rows = await connection.fetch(f"{_ALIVE} ORDER BY k.id DESC", whose(owner))
        return [_held(row) for row in rows]

    async def put(self, owner: str | None, key_id: str, version: Version, keep: int) -> bool:
        """Give a key its next value and forget all but the last `keep`."""
        key, at = id_of(key_id), moment(version.at)
        async with self._connection() as connection, connection.transaction():
            step = (whose(owner), key, version.number, at)
            if await connection.fetchval(_STEP, *step) is None:
                return False
            await connection.execute(_PUT_VERSION, key, *_version_row(version))
            await connection.execute(_TRIM, key, version.number - keep)
        return True

    async def reseal(self, owner: str | None, key_id: str, version: Version) -> bool:
        """Put the same value sealed anew in a version's place."""
        sealed = version.sealed
        row = (version.number, sealed.master, sealed.nonce, sealed.box, version.checksum)
        async with self._connection() as connection:
            done = await connection.fetchval(_RESEAL, whose(owner), id_of(key_id), *row)
        return done is not None

    async def versions(self, owner: str | None, key_id: str) -> list[Version]:
        """Return the values that are kept, newest first."""
        async with self._connection() as connection:
            rows = await connection.fetch(_VERSIONS, whose(owner), id_of(key_id))
        return [_version(row) for row in rows]

    async def change(self, key: VaultKey) -> bool:
        """Write what may change beside the value."""
        chosen = (key.category, key.visibility, list(key.scopes), list(key.tags))
        told = (json.dumps(dict(key.metadata)), key.active, _maybe(key.expires_at))
        rotate = (key.rotate_days, key.rotate_policy, moment(key.updated_at))
        named = (whose(key.owner), UUID(key.id))
        async with self._connection() as connection:
            done = await connection.fetchval(_CHANGE, *named, *chosen, *told, *rotate)
        return done is not None

    async def remove(self, owner: str | None, key_id: str, at: float) -> bool:
        """Delete a key softly."""
        row = (whose(owner), id_of(key_id), moment(at))
        async with self._connection() as connection:
            done = await connection.fetchval(_REMOVE, *row)
        return done is not None

    async def restore(self, owner: str | None, provider: str, name: str, at: float) -> bool:
        """Bring back the key of that name that was deleted last, if the name is free."""
        try:
            async with self._connection() as connection:
                row = (whose(owner), provider, name, moment(at))
                done = await connection.fetchval(_RESTORE, *row)
        except asyncpg.UniqueViolationError:
            return False
        return done is not None

    async def touch(self, owner: str | None, key_id: str, at: float) -> None:
        """Count one use."""
        async with self._connection() as connection:
            await connection.execute(_TOUCH, whose(owner), id_of(key_id), moment(at))

    async def census(self, now: float) -> Mapping[str, int]:
        """Return how many of everybody's there are, and of which kinds."""
        async with self._connection() as connection:
            row: Any = await connection.fetchrow(_CENSUS, moment(now))
        return dict(row)

    def _connection(self) -> AbstractAsyncContextManager[PoolConnectionProxy]:
        return lend(self._pool, self._timeout, "The keys of providers")


def _maybe(seconds: float | None) -> datetime | None:
    return None if seconds is None else moment(seconds)


def _row(key: VaultKey) -> tuple[Any, ...]:
    return (
        whose(key.owner),
        UUID(key.id),
        key.provider,
        key.name,
        key.category,
        key.visibility,
        list(key.scopes),
        list(key.tags),
        json.dumps(dict(key.metadata)),
        key.active,
        _maybe(key.expires_at),
        key.rotate_days,
        key.rotate_policy,
        key.version,
        moment(key.rotated_at),
        moment(key.created_at),
        moment(key.updated_at),
    )


def _version_row(version: Version) -> tuple[Any, ...]:
    sealed = version.sealed
    box = (sealed.master, sealed.nonce, sealed.box)
    return (version.number, *box, version.checksum, moment(version.at), version.reason)


def _version(row: Any) -> Version:
    sealed = Sealed(row["master"], bytes(row["nonce"]), bytes(row["box"]))
    return Version(row["number"], sealed, row["checksum"], row["at"].timestamp(), row["reason"])


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _held(row: Any) -> Held:
    key = VaultKey(
        id=str(row["id"]),
        owner=str(row["owner"]) if row["owner"] else None,
        provider=row["provider"],
        name=row["name"],
        created_at=row["created_at"].timestamp(),
        updated_at=row["updated_at"].timestamp(),
        rotated_at=row["rotated_at"].timestamp(),
        category=row["category"],
        visibility=row["visibility"],
        scopes=tuple(row["scopes"]),
        tags=tuple(row["tags"]),
        metadata=json.loads(row["metadata"]),
        active=row["active"],
        expires_at=_seconds(row["expires_at"]),
        rotate_days=row["rotate_days"],
        rotate_policy=row["rotate_policy"],
        version=row["version"],
        used=row["used"],
        last_used_at=_seconds(row["last_used_at"]),
        deleted_at=_seconds(row["deleted_at"]),
    )
    return Held(key, _version(row))
