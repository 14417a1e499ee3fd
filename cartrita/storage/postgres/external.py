"""Keeps external agents in PostgreSQL."""

import json
from dataclasses import replace

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from cartrita.external.registration import Registration
from cartrita.external.registry import Registered, Standing, taken
from cartrita.storage.postgres.runtime import Tables
from cartrita.storage.postgres.values import moment

_OPEN = "name, revision::text AS revision, by, at, standing, checked_at, detail, suspected"
_ALL = f"SELECT {_OPEN} FROM external_agents ORDER BY name"  # noqa: S608 - of our own texts
_SERVING = f"SELECT {_OPEN}, secret FROM external_agents WHERE $1 = ANY(task_types)"  # noqa: S608
_NAMED = f"SELECT {_OPEN}, secret FROM external_agents WHERE name = $1"  # noqa: S608
_DEFINED = """
SELECT revision::text AS revision, definition::text AS definition FROM external_agents
WHERE revision = ANY($1::text[]::uuid[])
"""
# Two that come at once must see each other's task types. Readers are not kept waiting.
_ALONE = "LOCK TABLE external_agents IN SHARE ROW EXCLUSIVE MODE"
_TAKEN = """
SELECT name, task_types FROM external_agents WHERE task_types && $2::text[] AND name <> $1 LIMIT 1
"""
_PUT = """
INSERT INTO external_agents (name, revision, definition, task_types, secret, by, at, standing)
VALUES ($1, $2::text::uuid, $3::text::jsonb, $4, $5, $6, $7, $8)
ON CONFLICT (name) DO UPDATE SET
    revision = excluded.revision, definition = excluded.definition,
    task_types = excluded.task_types, secret = excluded.secret, by = excluded.by,
    at = excluded.at, standing = excluded.standing, checked_at = NULL, detail = '', suspected = 0
RETURNING xmax = 0
"""
_REMOVE = "DELETE FROM external_agents WHERE name = $1 RETURNING true"
_NOTE = """
UPDATE external_agents SET standing = $3, checked_at = $4, detail = $5
WHERE name = $1 AND revision = $2::text::uuid
"""
_SUSPECT = "UPDATE external_agents SET suspected = suspected + 1 WHERE name = $1"


class PostgresRegistry(Tables):
    """Registrations in the table `external_agents`."""

    def __init__(self, pool: asyncpg.Pool, timeout: float = 5.0) -> None:
        super().__init__(pool, timeout)
        # Reading one anew would check all of its schemas again.
        self._definitions: dict[str, Registration] = {}

    async def all(self) -> list[Registered]:
        """Return every agent by its name, without secrets."""
        async with self._connection() as connection:
            found = await self._read(connection, await connection.fetch(_ALL))
        present = {one.revision for one in found}
        for gone in self._definitions.keys() - present:
            del self._definitions[gone]
        return found

    async def serving(self, task_type: str) -> Registered | None:
        """Return the agent of a task type, with its secret."""
        return await self._one(_SERVING, task_type)

    async def named(self, name: str) -> Registered | None:
        """Return an agent, with its secret."""
        return await self._one(_NAMED, name)

    async def _one(self, query: str, key: str) -> Registered | None:
        if "\x00" in key:
            return None
        async with self._connection() as connection:
            rows = await connection.fetch(query, key)
            found = await self._read(connection, rows)
        return replace(found[0], secret=rows[0]["secret"]) if found else None

    async def _read(
        self, connection: PoolConnectionProxy, rows: list[asyncpg.Record]
    ) -> list[Registered]:
        new = [row["revision"] for row in rows if row["revision"] not in self._definitions]
        for row in await connection.fetch(_DEFINED, new) if new else ():
            definition = Registration.model_validate_json(row["definition"])
            self._definitions[row["revision"]] = definition
        known = [(row, self._definitions.get(row["revision"])) for row in rows]
        # One that is not known was replaced between the two questions: the next look shows it.
        return [_registered(row, definition) for row, definition in known if definition]

    async def put(self, one: Registered) -> bool:
        """Keep a registration, in place of the one with this name."""
        told = one.registration
        types = [item.task_type for item in told.task_types]
        values = (one.revision, json.dumps(told.to_wire()), types, one.secret, one.by)
        async with self._connection() as connection, connection.transaction():
            await connection.execute(_ALONE)
            other = await connection.fetchrow(_TAKEN, one.name, types)
            if other:
                raise taken(min(set(types) & set(other["task_types"])), other["name"])
            new = await connection.fetchval(_PUT, one.name, *values, moment(one.at), one.standing)
        return bool(new)

    async def remove(self, name: str) -> bool:
        """Forget an agent; False when there is none."""
        async with self._connection() as connection:
            return bool(await connection.fetchval(_REMOVE, name))

    async def note(
        self, name: str, revision: str, standing: Standing, at: float, detail: str
    ) -> None:
        """Keep how an agent is, unless it was registered anew meanwhile."""
        async with self._connection() as connection:
            await connection.execute(_NOTE, name, revision, standing, moment(at), detail)

    async def suspect(self, name: str) -> None:
        """Have an agent's health looked at soon."""
        async with self._connection() as connection:
            await connection.execute(_SUSPECT, name)


def _registered(row: asyncpg.Record, registration: Registration) -> Registered:
    checked = row["checked_at"]
    return Registered(
        registration=registration,
        revision=row["revision"],
        by=row["by"],
        at=row["at"].timestamp(),
        standing=row["standing"],
        checked_at=checked.timestamp() if checked else None,
        detail=row["detail"],
        suspected=row["suspected"],
    )
