"""Searches the web, GitHub and open archives, and reads pages."""

from typing import Literal

from pydantic import Field

from cartrita.context import Context
from cartrita.providers.ports_web import GitHubSearch, Hits, Kind, Page, WebFetch, WebSearch
from cartrita.tools.declare import Answer, Input, Tools, tool

SEARCHERS = ("chat", "langchain", "planner")
READERS = ("langchain", "planner")
"""A page can hold instructions for whoever reads it, and an address can carry away what its
reader knows: only agents whose work it is get these."""

MOST_LINKS = 30


class SearchInput(Input):
    """What to look for."""

    query: str = Field(min_length=1, max_length=500, pattern=r"\S", description="Plain words.")
    limit: int = Field(default=5, ge=1, le=20)


class GitHubInput(Input):
    """What to look for on GitHub."""

    query: str = Field(min_length=1, max_length=256, pattern=r"\S")
    type: Kind = "repositories"
    language: str | None = Field(default=None, max_length=50, description="Such as `python`.")
    limit: int = Field(default=5, ge=1, le=20)


class BrowseInput(Input):
    """Which page to look at."""

    url: str = Field(min_length=1, max_length=2048, description="http or https.")
    extract: Literal["text", "links", "all"] = "all"
    max_length: int = Field(default=4_000, ge=100, le=7_000, description="Characters of text.")


class ScrapeInput(Input):
    """Which page to read."""

    url: str = Field(min_length=1, max_length=2048, description="http or https.")
    max_length: int = Field(default=6_000, ge=100, le=7_000, description="Characters of text.")


class WebTools(Tools):
    """The web."""

    def __init__(self, search: WebSearch, fetch: WebFetch, github: GitHubSearch) -> None:
        self._search, self._fetch, self._github = search, fetch, github

    @tool("web_search", agents=SEARCHERS)
    async def web_search(self, given: SearchInput, ctx: Context) -> Answer:
        """Search the web with every engine that is configured."""
        if not self._search.sources:
            raise ValueError(
                "no search engine is configured: set models.tavily_api_key, "
                "web.serpapi_api_key, web.brave_api_key or web.searxng_url"
            )
        return await self._found(given, ctx)

    @tool("tavily_search", agents=SEARCHERS)
    async def tavily(self, given: SearchInput, ctx: Context) -> Answer:
        """Search the web with Tavily."""
        return await self._found(given, ctx, "tavily")

    @tool("serp_search", agents=SEARCHERS)
    async def serp(self, given: SearchInput, ctx: Context) -> Answer:
        """Search Google through SerpAPI."""
        return await self._found(given, ctx, "serp")

    @tool("brave_search", agents=SEARCHERS)
    async def brave(self, given: SearchInput, ctx: Context) -> Answer:
        """Search the web with Brave."""
        return await self._found(given, ctx, "brave")

    @tool("wikipedia_search", agents=SEARCHERS)
    async def wikipedia(self, given: SearchInput, ctx: Context) -> Answer:
        """Find articles of Wikipedia."""
        return await self._found(given, ctx, "wikipedia")

    @tool("arxiv_search", agents=SEARCHERS)
    async def arxiv(self, given: SearchInput, ctx: Context) -> Answer:
        """Find papers on arXiv."""
        return await self._found(given, ctx, "arxiv")

    async def _found(self, given: SearchInput, ctx: Context, *sources: str) -> Answer:
        query = ctx.privacy.mask(given.query)
        return _shown(await self._search.search(query, given.limit, sources))

    @tool("github_search", agents=SEARCHERS)
    async def github(self, given: GitHubInput, ctx: Context) -> Answer:
        """Search GitHub's repositories, code, issues or users."""
        found = await self._github.search(
            given.type,
            ctx.privacy.mask(given.query),
            language=given.language,
            sort=None,
            limit=given.limit,
        )
        return [
            {"name": one.name, "url": one.url, "description": one.description, **one.facts}
            for one in found.items
        ]

    @tool("web_browser", agents=READERS)
    async def browse(self, given: BrowseInput, ctx: Context) -> Answer:
        """Open a page: its title, its text and where it points."""
        page = await self._fetch.fetch(_harmless(given.url, ctx))
        return _opened(page, given.extract, given.max_length)

    @tool("url_scraper", agents=READERS)
    async def scrape(self, given: ScrapeInput, ctx: Context) -> Answer:
        """Read the main text of a page."""
        page = await self._fetch.fetch(_harmless(given.url, ctx))
        return _opened(page, "text", given.max_length)


def _harmless(url: str, ctx: Context) -> str:
    """Return an address that carries nothing which was masked in this task.

    A model knows placeholders only, and a page may have it put one into an address.
    """
    if ctx.privacy.hid(url):
        raise ValueError("that address carries personal data, which does not leave")
    return url


def _shown(found: Hits) -> Answer:
    if not found.sources:
        raise ValueError(" ".join(found.problems) or "nobody could be asked")
    return [{"title": hit.title, "url": hit.url, "snippet": hit.snippet} for hit in found.hits]


def _opened(page: Page, extract: str, longest: int) -> Answer:
    told: dict[str, Answer] = {"url": page.url, "title": page.title or ""}
    if extract != "links":
        told["text"] = page.content[:longest]
        told["truncated"] = len(page.content) > longest
    if extract != "text":
        told["links"] = [{"url": link.url, "text": link.text} for link in page.links[:MOST_LINKS]]
    return told
