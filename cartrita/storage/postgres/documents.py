"""Keeps users' documents in PostgreSQL."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from cartrita.errors import NotFound, ResourceLimitExceeded
from cartrita.storage.people import LARGEST, Document
from cartrita.storage.postgres.outage import lend
from cartrita.storage.postgres.values import moment, uuid_of

TIMEOUT = 5.0

_COLUMNS = "number, value::text AS value, made_at, changed_at"
_GET = f"""
SELECT {_COLUMNS} FROM user_documents WHERE user_id = $1 AND kind = $2 AND number = 0
"""  # noqa: S608 - names of ours
_MERGE = f"""
INSERT INTO user_documents AS d (user_id, kind, number, value, made_at, changed_at)
SELECT id, $2, 0, $3::text::jsonb, $4, $4 FROM users WHERE id = $1
ON CONFLICT (user_id, kind, number)
DO UPDATE SET value = d.value || excluded.value, changed_at = excluded.changed_at
RETURNING {_COLUMNS}
"""  # noqa: S608 - names of ours
# Whoever adds one waits for whoever adds now, or the two would not count each other's.
_LOCK = "SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE"
_ADD = f"""
INSERT INTO user_documents (user_id, kind, number, value, made_at, changed_at)
SELECT $1, $2, nextval('user_documents_number'), $3::text::jsonb, $4, $4
WHERE (SELECT count(*) FROM user_documents WHERE user_id = $1 AND kind = $2) < $5
RETURNING {_COLUMNS}
"""  # noqa: S608 - names of ours
_LIST = f"""
SELECT {_COLUMNS} FROM user_documents WHERE user_id = $1 AND kind = $2 ORDER BY number DESC
"""  # noqa: S608 - names of ours
_REMOVE = """
DELETE FROM user_documents WHERE user_id = $1 AND kind = $2 AND number = $3 RETURNING number
"""


class PostgresDocuments:
    """Documents in the table `user_documents`.

    Args:
        pool: Connections to the migrated database.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def get(self, user_id: str, kind: str) -> Document | None:
        """Return the only document of a kind."""
        return await self._one(_GET, uuid_of(user_id), kind)

    async def merge(
        self, user_id: str, kind: str, changes: Mapping[str, Any], now: float
    ) -> Document:
        """Put fields over those of the only document of a kind."""
        row = (uuid_of(user_id), kind, _text(changes), moment(now))
        document = await self._one(_MERGE, *row)
        if document is None:
            raise NotFound("There is no such account.")
        return document

    async def add(
        self, user_id: str, kind: str, value: Mapping[str, Any], now: float, most: int
    ) -> Document | None:
        """Keep one more of a kind."""
        key = uuid_of(user_id)
        async with self._lent() as connection, connection.transaction():
            if await connection.fetchval(_LOCK, key) is None:
                return None
            row = await connection.fetchrow(_ADD, key, kind, _text(value), moment(now), most)
        return _document(row) if row else None

    async def list(self, user_id: str, kind: str) -> list[Document]:
        """Return those of a kind, newest first."""
        async with self._lent() as connection:
            rows = await connection.fetch(_LIST, uuid_of(user_id), kind)
        return [_document(row) for row in rows]

    async def remove(self, user_id: str, kind: str, number: int = 0) -> bool:
        """Forget one."""
        async with self._lent() as connection:
            found = await connection.fetchval(_REMOVE, uuid_of(user_id), kind, number)
        return found is not None

    async def _one(self, query: str, *arguments: Any) -> Document | None:
        async with self._lent() as connection:
            row = await connection.fetchrow(query, *arguments)
        return _document(row) if row else None

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[PoolConnectionProxy]:
        try:
            async with lend(self._pool, TIMEOUT, "The users' documents") as connection:
                yield connection
        except asyncpg.CheckViolationError:
            raise _too_large() from None


def _text(value: Mapping[str, Any]) -> str:
    # PostgreSQL takes neither half a pair of surrogates nor a NUL.
    text = json.dumps(value, ensure_ascii=False).replace("\\u0000", "\\ufffd")
    data = text.encode("utf-8", "replace")
    if len(data) > LARGEST:
        raise _too_large()
    return data.decode()


def _too_large() -> ResourceLimitExceeded:
    return ResourceLimitExceeded(f"What is kept for a user may have {LARGEST} bytes.")


def _document(row: Any) -> Document:
    made, changed = row["made_at"].timestamp(), row["changed_at"].timestamp()
    return Document(row["number"], json.loads(row["value"]), made, changed)
