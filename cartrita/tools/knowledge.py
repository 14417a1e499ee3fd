"""Searches what was stored earlier."""

from pydantic import Field

from cartrita.context import Context
from cartrita.providers.embedded.intent import MEMORY, NOTHING_FOUND
from cartrita.providers.ports import Embedder
from cartrita.storage.ports import Memories, Recalled
from cartrita.tools.declare import Input, Tools, tool

LEAST_LIKENESS = 0.3
"""Below it, passages are about something else."""

LONGEST_QUERY = 1_000


class QueryInput(Input):
    """What to look for."""

    query: str = Field(min_length=1, max_length=LONGEST_QUERY, pattern=r"\S")
    limit: int = Field(default=3, ge=1, le=10)


class KnowledgeTools(Tools):
    """Memories, by meaning."""

    def __init__(self, memories: Memories, embedder: Embedder) -> None:
        self._memories, self._embedder = memories, embedder

    @tool(MEMORY)
    async def search(self, given: QueryInput, ctx: Context) -> str:
        """Search what was stored earlier and quote the passages nearest in meaning."""
        vectors = await self._embedder.embed([given.query])
        found = await self._memories.search(
            ctx.principal.tenant,
            vectors[0],
            self._embedder.info.model,
            limit=given.limit,
            threshold=LEAST_LIKENESS,
            session=ctx.session_id,
        )
        return "\n".join(map(_quoted, found)) or NOTHING_FOUND


def _quoted(hit: Recalled) -> str:
    source = hit.record.metadata.get("source", hit.record.id)
    return f"“{hit.record.text}” [{source}, {hit.score:.2f}]"
