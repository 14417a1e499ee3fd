"""Keeps what happens to keys of providers in PostgreSQL."""

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from cartrita.storage.postgres.outage import lend
from cartrita.storage.postgres.values import id_of, moment, whose
from cartrita.storage.vault import Rotation, RotationPolicy, Tally, VaultEvent

# Who has no account here, as `system`, has no events of their own: the audit log has theirs.
_NOTE = """
INSERT INTO vault_events (owner, kind, description, severity, metadata, at)
SELECT id, $2, $3, $4, $5, $6 FROM users WHERE id = $1
"""
_TRIM = """
DELETE FROM vault_events WHERE owner = $1 AND id <= (
    SELECT id FROM vault_events WHERE owner = $1 ORDER BY id DESC OFFSET $2 LIMIT 1)
"""
_EVENTS = """
SELECT * FROM vault_events WHERE ($1::uuid IS NULL OR owner = $1)
ORDER BY id DESC LIMIT $2 OFFSET $3
"""
_TALLIES = """
SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, kind, severity, count(*) AS count
FROM vault_events WHERE ($1::uuid IS NULL OR owner = $1) AND at >= $2
GROUP BY 1, 2, 3 ORDER BY 1 DESC, 2, 3
"""
_PREFERENCES = "SELECT chosen FROM vault_preferences WHERE owner = $1"
_PREFER = """
INSERT INTO vault_preferences (owner, chosen) SELECT id, $2 FROM users WHERE id = $1
ON CONFLICT (owner) DO UPDATE SET chosen = $2
"""
_SWEEP = "DELETE FROM vault_reveals WHERE owner = $1 AND expires_at <= $2 RETURNING digest"
_GRANT = """
INSERT INTO vault_reveals (digest, owner, key, expires_at)
SELECT $1, u.id, k.id, $4 FROM users u, vault_keys k WHERE u.id = $2 AND k.id = $3
"""
_SPEND = """
DELETE FROM vault_reveals WHERE digest = $1 AND owner = $2 RETURNING key, expires_at
"""
_OUTSTANDING = "SELECT count(*) FROM vault_reveals WHERE expires_at > $1"
_POLICIES = "SELECT * FROM vault_policies WHERE owner = $1 ORDER BY id"
_LOCK = "SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE"
_ROOM = """
SELECT count(*) FROM vault_policies WHERE owner = $1 AND (provider, name) <> ($2, $3)
"""
_PUT_POLICY = """
INSERT INTO vault_policies (owner, provider, name, id, interval_days, grace_days, auto, enabled,
    created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (owner, provider, name) DO UPDATE SET
    interval_days = $5, grace_days = $6, auto = $7, enabled = $8, updated_at = $10
"""
_DROP_POLICY = "DELETE FROM vault_policies WHERE owner = $1 AND id = $2 RETURNING id"
_SCHEDULE = """
INSERT INTO vault_rotations (id, owner, key, reason, scheduled_at)
SELECT $1, $2, k.id, $4, $5 FROM vault_keys k
WHERE k.id = $3 AND k.owner = $2 AND k.deleted_at IS NULL RETURNING id
"""
_TRIM_ROTATIONS = """
DELETE FROM vault_rotations WHERE owner = $1 AND id <= (
    SELECT id FROM vault_rotations WHERE owner = $1 ORDER BY id DESC OFFSET $2 LIMIT 1)
"""
_COMPLETE = """
UPDATE vault_rotations SET completed_at = $3
WHERE owner = $1 AND id = $2 AND completed_at IS NULL RETURNING *
"""
_ROTATIONS = "SELECT * FROM vault_rotations WHERE owner = $1 ORDER BY id DESC LIMIT $2"


class PostgresVaultBook:
    """The tables `vault_events`, `_preferences`, `_reveals`, `_policies` and `_rotations`.

    Args:
        pool: Connections to the migrated database.
        timeout: Seconds one operation may take, waiting for a connection included.
    """

    def __init__(self, pool: asyncpg.Pool, timeout: float = 5.0) -> None:
        self._pool, self._timeout = pool, timeout

    async def note(self, event: VaultEvent, keep: int) -> None:
        """Add an event, and forget all but the owner's last `keep`."""
        owner = id_of(event.owner)
        told = (event.kind, event.description, event.severity, json.dumps(dict(event.metadata)))
        async with self._connection() as connection:
            await connection.execute(_NOTE, owner, *told, moment(event.at))
            await connection.execute(_TRIM, owner, keep)

    async def events(self, owner: str | None, limit: int, offset: int = 0) -> list[VaultEvent]:
        """Return events, newest first."""
        rows = await self._fetch(_EVENTS, whose(owner), limit, offset)
        return [_event(row) for row in rows]

    async def tallies(self, owner: str | None, since: float) -> list[Tally]:
        """Count events by day and kind."""
        rows = await self._fetch(_TALLIES, whose(owner), moment(since))
        return [Tally(row["day"], row["kind"], row["severity"], row["count"]) for row in rows]

    async def preferences(self, owner: str) -> Mapping[str, Any]:
        """Return what somebody chose."""
        async with self._connection() as connection:
            chosen = await connection.fetchval(_PREFERENCES, id_of(owner))
        found: dict[str, Any] = json.loads(chosen) if chosen else {}
        return found

    async def prefer(self, owner: str, chosen: Mapping[str, Any]) -> None:
        """Keep what somebody chose."""
        async with self._connection() as connection:
            await connection.execute(_PREFER, id_of(owner), json.dumps(dict(chosen)))

    async def preferring(self) -> int:
        """Return how many have chosen something."""
        async with self._connection() as connection:
            return int(await connection.fetchval("SELECT count(*) FROM vault_preferences"))

    async def grant(self, digest: bytes, owner: str, key_id: str, now: float, until: float) -> None:
        """Let the token of this digest show a key once."""
        await self.sweep(owner, now)
        row = (digest, id_of(owner), id_of(key_id), moment(until))
        async with self._connection() as connection:
            await connection.execute(_GRANT, *row)

    async def spend(self, digest: bytes, owner: str, now: float) -> str | None:
        """Use up a token of this owner."""
        async with self._connection() as connection:
            row = await connection.fetchrow(_SPEND, digest, id_of(owner))
        return str(row["key"]) if row and row["expires_at"] > moment(now) else None

    async def outstanding(self, now: float) -> int:
        """Return how many tokens are good now."""
        async with self._connection() as connection:
            return int(await connection.fetchval(_OUTSTANDING, moment(now)))

    async def sweep(self, owner: str, now: float) -> int:
        """Forget this owner's tokens that have expired."""
        return len(await self._fetch(_SWEEP, id_of(owner), moment(now)))

    async def policies(self, owner: str) -> list[RotationPolicy]:
        """Return an owner's policies, oldest first."""
        return [_policy(row) for row in await self._fetch(_POLICIES, id_of(owner))]

    async def put_policy(self, policy: RotationPolicy, most: int) -> bool:
        """Keep a policy, in place of the owner's of the same provider and name."""
        named = (id_of(policy.owner), policy.provider, policy.name)
        days = (policy.interval_days, policy.grace_days, policy.auto, policy.enabled)
        times = (moment(policy.created_at), moment(policy.updated_at))
        async with self._connection() as connection, connection.transaction():
            if await connection.fetchval(_LOCK, named[0]) is None:
                return False
            if await connection.fetchval(_ROOM, *named) >= most:
                return False
            await connection.execute(_PUT_POLICY, *named, UUID(policy.id), *days, *times)
        return True

    async def drop_policy(self, owner: str, policy_id: str) -> bool:
        """Forget a policy."""
        return bool(await self._fetch(_DROP_POLICY, id_of(owner), id_of(policy_id)))

    async def schedule(self, rotation: Rotation, keep: int) -> bool:
        """Plan a change of one's own key."""
        owner, key = id_of(rotation.owner), id_of(rotation.key_id)
        row = (UUID(rotation.id), owner, key, rotation.reason, moment(rotation.scheduled_at))
        async with self._connection() as connection:
            made = await connection.fetchval(_SCHEDULE, *row)
            await connection.execute(_TRIM_ROTATIONS, owner, keep)
        return made is not None

    async def complete(self, owner: str, rotation_id: str, at: float) -> Rotation | None:
        """Note that a planned change is done, once."""
        row = await self._fetch(_COMPLETE, id_of(owner), id_of(rotation_id), moment(at))
        return _rotation(row[0]) if row else None

    async def rotations(self, owner: str, limit: int) -> list[Rotation]:
        """Return planned and done changes, newest first."""
        return [_rotation(row) for row in await self._fetch(_ROTATIONS, id_of(owner), limit)]

    async def _fetch(self, query: str, *values: Any) -> list[Any]:
        async with self._connection() as connection:
            return list(await connection.fetch(query, *values))

    def _connection(self) -> AbstractAsyncContextManager[PoolConnectionProxy]:
        return lend(self._pool, self._timeout, "The book of keys")


def _event(row: Any) -> VaultEvent:
    return VaultEvent(
        str(row["owner"]),
        row["kind"],
        row["description"],
        row["at"].timestamp(),
        row["severity"],
        json.loads(row["metadata"]),
        row["id"],
    )


def _policy(row: Any) -> RotationPolicy:
    return RotationPolicy(
        str(row["id"]),
        str(row["owner"]),
        row["provider"],
        row["name"],
        row["interval_days"],
        row["grace_days"],
        row["auto"],
        row["enabled"],
        row["created_at"].timestamp(),
        row["updated_at"].timestamp(),
    )


def _rotation(row: Any) -> Rotation:
    done = row["completed_at"]
    return Rotation(
        str(row["id"]),
        str(row["owner"]),
        str(row["key"]),
        row["reason"],
        row["scheduled_at"].timestamp(),
        done.timestamp() if done else None,
    )
