"""Searches what was stored earlier, and stores more."""

from uuid import UUID, uuid5

from pydantic import Field

from cartrita.context import Context
from cartrita.embedding import embedded
from cartrita.protocol.text import Storable, StorableProse
from cartrita.providers.embedded.intent import MEMORY, NOTHING_FOUND
from cartrita.providers.ports import Embedder
from cartrita.storage.ports import Memories, MemoryRecord, Recalled
from cartrita.tools.declare import Input, Tools, tool

LEAST_LIKENESS = 0.3
"""Below it, passages are about something else."""

LONGEST_QUERY = 1_000

NAMESPACE = UUID("0193a1c4-6f1e-7c52-9f3e-2b6d8a4e7f11")
"""Of the ids of what is stored: the same text is stored once."""


class QueryInput(Input):
    """What to look for."""

    query: str = Field(min_length=1, max_length=LONGEST_QUERY, pattern=r"\S")
    limit: int = Field(default=3, ge=1, le=10)


class StoreInput(Input):
    """What to store."""

    text: StorableProse = Field(max_length=20_000)
    source: Storable | None = Field(default=None, max_length=200, description="Where it is from.")


class KnowledgeTools(Tools):
    """Memories, by meaning."""

    def __init__(self, memories: Memories, embedder: Embedder) -> None:
        self._memories, self._embedder = memories, embedder

    @tool(MEMORY)
    async def search(self, given: QueryInput, ctx: Context) -> str:
        """Search what was stored earlier and quote the passages nearest in meaning."""
        vectors = await embedded(self._embedder, [given.query], ctx)
        found = await self._memories.search(
            ctx.principal.tenant,
            vectors[0],
            self._embedder.info.model,
            limit=given.limit,
            threshold=LEAST_LIKENESS,
            session=ctx.session_id,
        )
        return "\n".join(map(_quoted, found)) or NOTHING_FOUND

    @tool("knowledge_store", agents=("langchain",), changes=True)
    async def store(self, given: StoreInput, ctx: Context, key: str) -> str:
        """Store a text for everybody in the caller's workspace to find later."""
        metadata = {"source": given.source} if given.source else {}
        record = MemoryRecord(
            uuid5(NAMESPACE, given.text), given.text, ctx.clock.now(), ctx.session_id, metadata
        )
        vectors = await embedded(self._embedder, [given.text], ctx)
        await self._memories.store(
            ctx.principal.tenant, [record], vectors, self._embedder.info.model
        )
        return f"Stored as {record.id}."


def _quoted(hit: Recalled) -> str:
    source = hit.record.metadata.get("source", hit.record.id)
    return f"“{hit.record.text}” [{source}, {hit.score:.2f}]"
