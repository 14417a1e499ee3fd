"""Finds things: on the web, or in what the tenant itself stored."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field

from cartrita.context import Context
from cartrita.cost.price import Price
from cartrita.embedding import embedded
from cartrita.errors import NetworkFailed
from cartrita.protocol.task import Name
from cartrita.protocol.text import StorableProse
from cartrita.protocol.wire import WireModel
from cartrita.providers.ports import Embedder
from cartrita.providers.ports_web import Hit, Hits, WebSearch
from cartrita.storage.ports import Memories, Recalled

LOCAL: Final = "local-corpus"
"""The scope of what the tenant itself stored; it can be asked for by this name."""

LEAST_LIKENESS = 0.3
"""Below it, a stored text is about something else."""

NO_ENGINE = (
    "No search engine is configured, so what your tenant stored was searched; set "
    "models.tavily_api_key, web.serpapi_api_key, web.brave_api_key or web.searxng_url."
)

INSTEAD = "So what your tenant stored was searched."

Scope = Literal["web", "local-corpus"]
Query = Annotated[StorableProse, Field(max_length=500)]
Sources = Annotated[list[Annotated[Name, Field(max_length=32)]], Field(max_length=8)]


class Item(WireModel):
    """One result."""

    title: str
    url: str | None = Field(default=None, description="Absent where a stored text names none.")
    content: str
    source: str
    published: str | None = Field(default=None, description="As the source writes it.")
    score: float | None = Field(default=None, description="Of a stored text: its likeness.")


class Finder:
    """Asks search engines, and the tenant's memories where there are none, or none answers.

    Args:
        search: The engines.
        memories: The tenant's.
        embedder: What they are searched with.
    """

    def __init__(self, search: WebSearch, memories: Memories, embedder: Embedder) -> None:
        self._search, self._memories, self._embedder = search, memories, embedder

    async def find(
        self, query: str, limit: int, asked: Sequence[str], ctx: Context, cost: Price
    ) -> tuple[Scope, list[Item], list[str]]:
        """Return where was looked, what was found, and who found it.

        Args:
            query: What to look for.
            limit: How many results.
            asked: The sources that the caller wants; none for those that are configured.
            ctx: The task; it is warned of sources that did not answer.
            cost: What it declares.

        Raises:
            NetworkFailed: No engine answered of those that the caller wants, or none at all, and
                the tenant stored nothing about it.
        """
        wanted = [name for name in asked if name != LOCAL]
        found = Hits((), ())
        failure: NetworkFailed | None = None
        try:
            if wanted or (self._search.sources and not asked):
                found = await self._search.search(ctx.privacy.mask(query), limit, wanted)
        except NetworkFailed as error:
            if wanted and LOCAL not in asked:
                raise  # who names a source gets it, or an error
            failure = error
        for problem in found.problems:
            ctx.warn(problem)
        if found.sources:
            return "web", [_item(hit) for hit in found.hits], list(found.sources)
        stored = await self._stored(query, limit, ctx, cost)
        if failure and not stored:
            raise failure
        if failure or LOCAL not in asked:
            ctx.warn(f"{failure.message} {INSTEAD}" if failure else NO_ENGINE)
        return LOCAL, stored, [LOCAL]

    async def _stored(self, query: str, limit: int, ctx: Context, cost: Price) -> list[Item]:
        vectors = await embedded(self._embedder, [query], ctx, cost)
        found = await self._memories.search(
            ctx.principal.tenant,
            vectors[0],
            self._embedder.info.model,
            limit=limit,
            threshold=LEAST_LIKENESS,
        )
        return [_remembered(hit) for hit in found]


def _item(hit: Hit) -> Item:
    return Item(
        title=hit.title,
        url=hit.url,
        content=hit.snippet,
        source=hit.source,
        published=hit.published,
    )


def _remembered(hit: Recalled) -> Item:
    """Return a stored text as a result; its address is one that was stored with it."""
    told = {key: str(value) for key, value in hit.record.metadata.items()}
    url = told.get("url", "")
    return Item(
        title=told.get("title") or told.get("source") or str(hit.record.id),
        url=url if url.startswith(("http://", "https://")) else None,
        content=hit.record.text,
        source=LOCAL,
        score=round(hit.score, 4),
    )
