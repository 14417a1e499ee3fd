"""Searches the web and GitHub, and reads pages."""

import asyncio
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from cartrita.clock import iso
from cartrita.context import Context, Usage
from cartrita.cost.allowance import Allowance
from cartrita.cost.price import and_embedding, metered, per_call
from cartrita.declare import Agent, Params, Result, task
from cartrita.errors import CartritaError, InsufficientBudget
from cartrita.protocol.text import Prose, Storable
from cartrita.protocol.wire import WireModel
from cartrita.providers.ports import Embedder
from cartrita.providers.ports_web import GitHubSearch, Kind, Page, WebFetch, WebSearch
from cartrita.research.finding import Finder, Item, Query, Scope, Sources
from cartrita.storage.ports import Memories

MOST_URLS = 20
AT_ONCE = 5
"""Pages of one task that are read at a time."""

SEARCHING = and_embedding(per_call("0.01"), lambda params: [params.query])

PER_URL = Decimal("0.005")
SCRAPING = metered(str(PER_URL * MOST_URLS), 0)

LONGEST_TEXT = 50_000
"""Characters of a page in a result; a longer one is cut, and says so."""

MOST_LINKS = 100
"""Of each page in a result, which has to fit a message between actors."""


class SearchParams(Params):
    """What to look for."""

    query: Query
    limit: int = Field(default=10, ge=1, le=50)
    sources: Sources = Field(
        default_factory=list,
        description="`tavily`, `serp`, `brave`, `searxng`, `wikipedia`, `arxiv`, or "
        "`local-corpus`; by default every search engine that is configured.",
    )


class SearchMetadata(WireModel):
    """When, and who was asked."""

    timestamp: str = Field(description="ISO-8601, UTC.")
    sources: list[str]


class SearchResult(Result):
    """Results, best first."""

    query: str
    results: list[Item]
    total_results: int
    search_time: int = Field(description="Milliseconds.")
    sources: list[str] = Field(description="Who answered.")
    scope: Scope = Field(description="`local-corpus`: what your tenant stored, not the web.")
    metadata: SearchMetadata


class ScrapeParams(Params):
    """What to read."""

    urls: Annotated[list[Annotated[Prose, Field(max_length=4096)]], Field(min_length=1)] = Field(
        max_length=MOST_URLS
    )
    extractors: list[Literal["text", "links", "metadata"]] = Field(
        default=["text", "links"], min_length=1, max_length=3
    )


class PageLink(WireModel):
    """Where a page points."""

    url: str
    text: str


class Scraped(WireModel):
    """One page, or why there is none."""

    url: str = Field(description="As it was asked for.")
    success: bool
    title: str | None = None
    content: str | None = None
    truncated: bool = Field(default=False, description=f"`content` ends at {LONGEST_TEXT}.")
    links: list[PageLink] | None = None
    metadata: dict[str, str] = Field(
        default_factory=dict, description="With `finalUrl` and `contentType`."
    )
    error: str | None = None
    error_code: str | None = None


class ScrapeMetadata(WireModel):
    """How it went."""

    timestamp: str = Field(description="ISO-8601, UTC.")
    total_urls: int
    successful_scrapes: int


class ScrapeResult(Result):
    """The pages, in the order of `urls`."""

    urls: list[str]
    results: list[Scraped]
    metadata: ScrapeMetadata


class GitHubParams(Params):
    """What to look for on GitHub."""

    query: Annotated[Prose, Field(max_length=256)] = Field(
        description="With GitHub's qualifiers, such as `stars:>100`."
    )
    type: Kind = Field(default="repositories", description="`code` needs a configured token.")
    language: Annotated[Storable, Field(max_length=50)] | None = None
    sort: Literal["stars", "forks", "updated", "created", "comments", "followers"] | None = Field(
        default=None, description="Best match by default; GitHub passes over what does not fit."
    )
    limit: int = Field(default=10, ge=1, le=100)


class GitHubItem(WireModel):
    """One match."""

    name: str
    url: str
    description: str
    facts: dict[str, str | int | bool] = Field(
        description="`stars`, `language`, `updatedAt` and the like, where it has them."
    )


class GitHubResult(Result):
    """Matches, best first."""

    query: str
    type: str
    results: list[GitHubItem]
    total_results: int = Field(description="By GitHub's count.")
    cached: bool = Field(description="Whether this is an answer of the last five minutes.")


class Researcher(Agent, team="intelligence", concurrency=8):
    """Finds things out, and says where."""

    def __init__(
        self,
        search: WebSearch,
        fetch: WebFetch,
        github: GitHubSearch,
        memories: Memories,
        embedder: Embedder,
    ) -> None:
        self._finder = Finder(search, memories, embedder)
        self._fetch, self._github = fetch, github

    @task(
        "research.web.search",
        cost=SEARCHING,
        timeout=30,
        idempotent=True,
        example={"query": "actor model supervision", "limit": 5},
    )
    async def search(self, params: SearchParams, ctx: Context) -> SearchResult:
        """Search the web with every configured search engine.

        Where none is configured, what your tenant stored is searched instead, and `scope` is
        `local-corpus`. No address is ever made up.
        """
        began = ctx.clock.monotonic()
        scope, items, sources = await self._finder.find(
            params.query, params.limit, params.sources, ctx, SEARCHING
        )
        ctx.measure("searchResultsCount", len(items))
        return SearchResult(
            query=params.query,
            results=items,
            total_results=len(items),
            search_time=round((ctx.clock.monotonic() - began) * 1000),
            sources=sources,
            scope=scope,
            metadata=SearchMetadata(timestamp=iso(ctx.clock.now()), sources=sources),
        )

    @task(
        "research.web.scrape",
        cost=SCRAPING,
        timeout=60,
        idempotent=True,
        example={"urls": ["https://example.com/"]},
    )
    async def scrape(self, params: ScrapeParams, ctx: Context) -> ScrapeResult:
        """Read pages of the public internet as text, with their links and metadata.

        A page's robots.txt is respected. Addresses that are not public are refused, and so are
        redirects to such. Costs 0.005 USD for each address.
        """
        cost = PER_URL * len(params.urls)
        if Allowance.left(SCRAPING, ctx.budget, ctx.usages).usd < cost:
            raise InsufficientBudget(f"{len(params.urls)} addresses cost {cost} USD.")
        began, slots = ctx.clock.monotonic(), asyncio.Semaphore(AT_ONCE)
        results = await asyncio.gather(
            *(self._scraped(url, params.extractors, slots) for url in params.urls)
        )
        ctx.spent(Usage("web/fetch", usd=cost, seconds=ctx.clock.monotonic() - began))
        done = sum(result.success for result in results)
        return ScrapeResult(
            urls=params.urls,
            results=list(results),
            metadata=ScrapeMetadata(
                timestamp=iso(ctx.clock.now()), total_urls=len(results), successful_scrapes=done
            ),
        )

    async def _scraped(self, url: str, extractors: list[Any], slots: asyncio.Semaphore) -> Scraped:
        try:
            async with slots:
                page = await self._fetch.fetch(url)
        except CartritaError as error:
            return Scraped(url=url, success=False, error=error.message, error_code=str(error.code))
        return _page(url, page, extractors)

    @task(
        "research.github.search",
        cost=per_call("0.005"),
        timeout=30,
        idempotent=True,
        example={"query": "actor framework", "language": "python", "limit": 5},
    )
    async def github(self, params: GitHubParams, ctx: Context) -> GitHubResult:
        """Search GitHub's repositories, code, issues or users."""
        found = await self._github.search(
            params.type,
            ctx.privacy.mask(params.query),
            language=params.language,
            sort=params.sort,
            limit=params.limit,
        )
        ctx.measure("searchResultsCount", len(found.items))
        items = [
            GitHubItem(
                name=one.name, url=one.url, description=one.description, facts=dict(one.facts)
            )
            for one in found.items
        ]
        return GitHubResult(
            query=params.query,
            type=params.type,
            results=items,
            total_results=found.total,
            cached=found.cached,
        )


def _page(url: str, page: Page, extractors: list[Any]) -> Scraped:
    metadata = {"finalUrl": page.url, "contentType": page.kind}
    links = [PageLink(url=link.url, text=link.text) for link in page.links[:MOST_LINKS]]
    return Scraped(
        url=url,
        success=True,
        title=page.title,
        content=page.content[:LONGEST_TEXT] if "text" in extractors else None,
        truncated="text" in extractors and len(page.content) > LONGEST_TEXT,
        links=links if "links" in extractors else None,
        metadata=metadata | (dict(page.metadata) if "metadata" in extractors else {}),
    )
