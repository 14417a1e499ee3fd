"""Searches what was stored earlier, and stores more."""

from dataclasses import dataclass
from uuid import UUID, uuid5

from pydantic import Field

from cartrita.context import Context
from cartrita.embedding import embedded
from cartrita.protocol.text import Storable, StorableProse
from cartrita.providers.embedded.intent import MEMORY, NOTHING_FOUND
from cartrita.providers.ports import Embedder
from cartrita.storage.knowledge import Holder, Knowledge, Piece, Scope
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
    """The workspace's memories and the user's own knowledge, by meaning."""

    def __init__(self, memories: Memories, embedder: Embedder, knowledge: Knowledge) -> None:
        self._memories, self._embedder, self._knowledge = memories, embedder, knowledge

    @tool(MEMORY)
    async def search(self, given: QueryInput, ctx: Context) -> str:
        """Search what was stored earlier and quote the passages nearest in meaning."""
        (asked,) = await embedded(self._embedder, [given.query], ctx)
        who, model = ctx.principal, self._embedder.info.model
        remembered = await self._memories.search(
            who.tenant,
            asked,
            model,
            limit=given.limit,
            threshold=LEAST_LIKENESS,
            session=ctx.session_id,
        )
        kept = await self._knowledge.by_meaning(
            Holder(who.tenant, who.user), asked, model, Scope(), given.limit, LEAST_LIKENESS
        )
        found = [*map(_remembered, remembered), *map(_kept, kept)]
        found.sort(key=lambda quote: -quote.score)
        return "\n".join(map(str, found[: given.limit])) or NOTHING_FOUND

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


@dataclass(frozen=True, slots=True)
class _Quote:
    text: str
    source: object
    score: float

    def __str__(self) -> str:
        return f"“{self.text}” [{self.source}, {self.score:.2f}]"


def _remembered(hit: Recalled) -> _Quote:
    source = hit.record.metadata.get("source", hit.record.id)
    return _Quote(hit.record.text, source, hit.score)


def _kept(piece: Piece) -> _Quote:
    return _Quote(piece.chunk.text, piece.entry.title, piece.score or 0.0)
