"""Keeps knowledge in PostgreSQL with pgvector."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import asyncpg
import numpy as np
from asyncpg.pool import PoolConnectionProxy

from cartrita.errors import ResourceLimitExceeded
from cartrita.storage.knowledge import (
    Chunk,
    Entry,
    File,
    Holder,
    Order,
    Piece,
    Scope,
    Sums,
    Vector,
)
from cartrita.storage.postgres import knowledge_sql as sql
from cartrita.storage.postgres.outage import lend
from cartrita.storage.postgres.values import moment
from cartrita.storage.postgres.vectors import literal

TIMEOUT = 10.0
"""Seconds each wait for a connection or a statement may take."""


class PostgresKnowledge:
    """Entries in one table and their pieces in another, compared one by one.

    Args:
        pool: Connections to the migrated database.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def put(
        self, holder: Holder, entry: Entry, chunks: Sequence[Chunk], vectors: Vector, most: int
    ) -> None:
        """Keep an entry with its pieces, all or none."""
        pieces = (
            [chunk.place for chunk in chunks],
            [chunk.start for chunk in chunks],
            [chunk.text for chunk in chunks],
            [literal(vector) for vector in vectors],
        )
        told, when = _told(entry), moment(entry.created_at)
        made = (entry.content, entry.digest, len(chunks), entry.model, literal(vectors.mean(0)))
        async with self._connection() as connection, connection.transaction():
            await connection.execute(sql.LOCK, *holder, timeout=TIMEOUT)
            others = await connection.fetchval(sql.OTHERS, *holder, entry.id, timeout=TIMEOUT)
            if others + len(chunks) > most:
                raise ResourceLimitExceeded(
                    f"{most} pieces of knowledge may be kept for each user, and {others} are: "
                    "delete something first."
                )
            await connection.execute(
                sql.PUT, *holder, entry.id, *told, *made, when, timeout=TIMEOUT
            )
            await connection.execute(sql.DROP_CHUNKS, *holder, entry.id, timeout=TIMEOUT)
            about = (*holder, entry.id, entry.model, entry.title)
            await connection.execute(sql.PUT_CHUNKS, *about, *pieces, timeout=TIMEOUT)

    async def amend(self, holder: Holder, entry: Entry) -> bool:
        """Replace what is told of an entry."""
        return bool(await self._value(sql.AMEND, *holder, entry.id, *_told(entry)))

    async def find(self, holder: Holder, entry_id: UUID) -> Entry | None:
        """Return an entry."""
        async with self._connection() as connection:
            row = await connection.fetchrow(sql.FIND, *holder, entry_id, timeout=TIMEOUT)
        return _entry(row) if row else None

    async def same(self, holder: Holder, digest: str) -> UUID | None:
        """Return the oldest entry with this content."""
        found: UUID | None = await self._value(sql.SAME, *holder, digest)
        return found

    async def page(
        self, holder: Holder, scope: Scope, order: tuple[Order, bool], limit: int, offset: int
    ) -> tuple[list[Entry], int]:
        """Return entries with the beginning of their content."""
        asked = (*holder, *_scope(scope))
        async with self._connection() as connection:
            total = await connection.fetchval(sql.COUNT, *asked, timeout=TIMEOUT)
            rows = await connection.fetch(sql.page(*order), *asked, limit, offset, timeout=TIMEOUT)
        return [_entry(row) for row in rows], total

    async def remove(self, holder: Holder, entry_id: UUID) -> bool:
        """Delete an entry with its pieces."""
        return bool(await self._value(sql.REMOVE, *holder, entry_id))

    async def clear(self, holder: Holder) -> int:
        """Delete all that a holder has."""
        return int(await self._value(sql.CLEAR, *holder))

    async def by_meaning(
        self, holder: Holder, asked: Vector, model: str, scope: Scope, limit: int, least: float
    ) -> list[Piece]:
        """Return the pieces most like `asked`."""
        question = (literal(asked), model, least, limit)
        return await self._found(sql.by_meaning(asked.size), *holder, *_scope(scope), *question)

    async def by_words(self, holder: Holder, query: str, scope: Scope, limit: int) -> list[Piece]:
        """Return the pieces that have all words of a query."""
        return await self._found(sql.BY_WORDS, *holder, *_scope(scope), query, limit)

    async def foreign(self, holder: Holder, model: str) -> str | None:
        """Return another model whose vectors are here."""
        found: str | None = await self._value(sql.FOREIGN, *holder, model)
        return found

    async def categories(self, holder: Holder) -> list[tuple[str, int]]:
        """Return the categories by name."""
        async with self._connection() as connection:
            rows = await connection.fetch(sql.CATEGORIES, *holder, timeout=TIMEOUT)
        return [(row[0], row[1]) for row in rows]

    async def sums(self, holder: Holder) -> Sums:
        """Return how much there is."""
        async with self._connection() as connection:
            row = await connection.fetchrow(sql.SUMS, *holder, timeout=TIMEOUT)
        assert row is not None  # sums of nothing are a row, too
        last = row["last_at"]
        told = {name: row[name] for name in ("entries", "files", "chunks", "size")}
        return Sums(**told, last_at=last.timestamp() if last else None)

    async def middles(self, holder: Holder, model: str, limit: int) -> list[tuple[Entry, Vector]]:
        """Return the entries that changed last."""
        async with self._connection() as connection:
            rows = await connection.fetch(sql.MIDDLES, *holder, model, limit, timeout=TIMEOUT)
        return [
            (_entry(row), np.array(row["middle"][1:-1].split(","), dtype=np.float32))
            for row in rows
        ]

    async def _found(self, statement: str, *asked: Any) -> list[Piece]:
        async with self._connection() as connection:
            rows = await connection.fetch(statement, *asked, timeout=TIMEOUT)
        return [
            Piece(_entry(row), Chunk(row["place"], row["start"], row["text"]), row["score"])
            for row in rows
        ]

    async def _value(self, statement: str, *asked: Any) -> Any:
        async with self._connection() as connection:
            return await connection.fetchval(statement, *asked, timeout=TIMEOUT)

    def _connection(self) -> AbstractAsyncContextManager[PoolConnectionProxy]:
        return lend(self._pool, TIMEOUT, "The store of knowledge")


def _told(entry: Entry) -> tuple[Any, ...]:
    """Return what a user tells of an entry, in the order of the statements."""
    file = entry.file or File("", "", 0)
    return (
        entry.title,
        entry.content_type,
        entry.category,
        entry.subcategory,
        list(entry.tags),
        entry.importance,
        entry.source_type,
        entry.source_url,
        *((file.name, file.kind, file.size) if entry.file else (None, None, None)),
        moment(entry.updated_at),
    )


def _scope(scope: Scope) -> tuple[Any, ...]:
    ids = None if scope.ids is None else list(scope.ids)
    words = scope.words or None
    return scope.category, scope.content_type, list(scope.tags), ids, scope.files, words


def _entry(row: asyncpg.Record) -> Entry:
    named = row["file_name"] is not None
    return Entry(
        id=row["id"],
        title=row["title"],
        content=row["content"],
        content_type=row["content_type"],
        category=row["category"],
        subcategory=row["subcategory"],
        tags=tuple(row["tags"]),
        importance=round(row["importance"], 6),
        source_type=row["source_type"],
        source_url=row["source_url"],
        file=File(row["file_name"], row["file_kind"], row["file_size"]) if named else None,
        digest=row["digest"],
        chunks=row["chunks"],
        model=row["embedding_model"],
        created_at=row["created_at"].timestamp(),
        updated_at=row["updated_at"].timestamp(),
    )
