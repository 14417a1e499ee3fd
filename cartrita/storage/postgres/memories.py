"""Keeps memories in PostgreSQL with pgvector."""

import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import cache

import asyncpg
import numpy as np
import numpy.typing as npt
from asyncpg.pool import PoolConnectionProxy

from cartrita.storage.ports import MemoryRecord, Recalled
from cartrita.storage.postgres.outage import lend
from cartrita.storage.postgres.vectors import literal

INDEXED = (384, 768, 1024, 1536, 3072)
"""Lengths of vectors for which there is an index; others are compared one by one."""

EF_SEARCH = 100
"""Neighbours that HNSW looks at: 97 % of the true five at 100,000 rows, where 40 found 92 %."""

EXACT_UP_TO = 5_000
"""Memories of one tenant that are compared one by one: some six milliseconds."""

# Vectors travel as text. The binary codec would have to be registered when a connection is
# opened, and fails there while the extension is not yet migrated in.
_STORE = """
INSERT INTO memories
    (tenant, id, session, text, metadata, embedding_model, embedding, stored_at)
SELECT $1, u.id, u.session, u.text, u.metadata::jsonb, $2, u.embedding::halfvec, u.stored_at
FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[])
    AS u (id, session, text, metadata, embedding, stored_at)
ORDER BY u.id  -- one order for all writers, so that two of them never wait for each other
ON CONFLICT (tenant, id) DO UPDATE SET
    session = excluded.session, text = excluded.text, metadata = excluded.metadata,
    embedding_model = excluded.embedding_model, embedding = excluded.embedding,
    stored_at = excluded.stored_at
"""

# The index holds everybody's memories, and its graph can leave one tenant's out of reach
# behind another's near duplicates: who has few is searched one by one, exactly.
_FEW = "SELECT count(*) <= $2 FROM (SELECT FROM memories WHERE tenant = $1 LIMIT $2 + 1) AS own"

# Without the iterative scan the filter would come after the nearest of all tenants were
# taken. Its order is only nearly right, hence the second sort.
_TUNE = f"SET LOCAL hnsw.ef_search = {EF_SEARCH}; SET LOCAL hnsw.iterative_scan = relaxed_order"
# The vector is read in a subquery, once: in place, a cached plan would parse it for each row.
_SEARCH = """
WITH nearest AS MATERIALIZED (
    SELECT id, session, text, metadata::text AS metadata, stored_at, {distance} AS distance
    FROM memories
    WHERE tenant = $1 AND embedding_model = $3 AND ($4::text IS NULL OR session = $4)
        AND vector_dims(embedding) = {length}
    ORDER BY {order}
    LIMIT $5)
SELECT *, 1 - distance AS score FROM nearest WHERE 1 - distance >= $6 ORDER BY distance, id
"""
_DISTANCE = "(embedding::halfvec({length}) <=> (SELECT $2::text::halfvec({length})))"

_FOREIGN = (
    "SELECT embedding_model FROM memories WHERE tenant = $1 AND embedding_model <> $2 LIMIT 1"
)


@cache
def by_index(length: int) -> str:
    """Return the search for vectors of one length that the index of that length can answer."""
    distance = _DISTANCE.format(length=length)
    return _SEARCH.format(length=length, distance=distance, order=distance)


@cache
def one_by_one(length: int) -> str:
    """Return the search that no index can answer, as none has this order."""
    distance = _DISTANCE.format(length=length)
    return _SEARCH.format(length=length, distance=distance, order=f"0 + {distance}")


class PostgresMemories:
    """Memories in one table: few are compared one by one, many through an HNSW index.

    Args:
        pool: Connections to the migrated database.
        timeout: Seconds each wait for a connection or a statement may take.
        exact_up_to: The most memories of a tenant that are compared one by one.
    """

    def __init__(
        self, pool: asyncpg.Pool, timeout: float = 10.0, exact_up_to: int = EXACT_UP_TO
    ) -> None:
        self._pool = pool
        self._timeout = timeout
        self._exact_up_to = exact_up_to

    async def store(
        self,
        tenant: str,
        records: Sequence[MemoryRecord],
        vectors: npt.NDArray[np.float32],
        model: str,
    ) -> None:
        """Keep records in one statement: all or none.

        Raises:
            ServiceUnavailable: The database cannot be reached.
        """
        if not records:
            return
        rows = (
            [record.id for record in records],
            [record.session for record in records],
            [record.text for record in records],
            [json.dumps(dict(record.metadata)) for record in records],
            [literal(vector) for vector in vectors],
            [datetime.fromtimestamp(record.stored_at, UTC) for record in records],
        )
        async with self._connection() as connection:
            await connection.execute(_STORE, tenant, model, *rows, timeout=self._timeout)

    async def search(
        self,
        tenant: str,
        vector: npt.NDArray[np.float32],
        model: str,
        *,
        limit: int,
        threshold: float,
        session: str | None = None,
    ) -> list[Recalled]:
        """Return the tenant's records most like `vector`, best first.

        Raises:
            ServiceUnavailable: The database cannot be reached.
        """
        question = (tenant, literal(vector), model, session, limit, threshold)
        async with self._connection() as connection, connection.transaction(readonly=True):
            exact = vector.size not in INDEXED or await connection.fetchval(
                _FEW, tenant, self._exact_up_to, timeout=self._timeout
            )
            if not exact:
                await connection.execute(_TUNE, timeout=self._timeout)
            search = one_by_one(vector.size) if exact else by_index(vector.size)
            rows = await connection.fetch(search, *question, timeout=self._timeout)
        return [_recalled(row) for row in rows]

    async def foreign(self, tenant: str, model: str) -> str | None:
        """Return another model whose vectors the tenant has here, if there is one.

        Raises:
            ServiceUnavailable: The database cannot be reached.
        """
        async with self._connection() as connection:
            found: str | None = await connection.fetchval(
                _FOREIGN, tenant, model, timeout=self._timeout
            )
        return found

    def _connection(self) -> AbstractAsyncContextManager[PoolConnectionProxy]:
        return lend(self._pool, self._timeout, "The memory store")


def _recalled(row: asyncpg.Record) -> Recalled:
    record = MemoryRecord(
        id=row["id"],
        text=row["text"],
        stored_at=row["stored_at"].timestamp(),
        session=row["session"],
        metadata=json.loads(row["metadata"]),
    )
    return Recalled(record, float(row["score"]))
