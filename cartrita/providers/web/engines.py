"""Search engines: those with a key, and one's own SearXNG."""

from typing import Any

from cartrita.egress.client import Egress
from cartrita.errors import AgentFailed
from cartrita.providers.ports_web import Hit
from cartrita.providers.web.asking import JSON, at, parsed
from cartrita.providers.web.html import plain

BRAVE_MOST = 20
"""Results that Brave gives at once."""

TAVILY_MOST = 20

LONGEST_TITLE = 300
LONGEST_SNIPPET = 2_000
LONGEST_URL = 2_048


def hit(source: str, title: Any, url: Any, snippet: Any, published: Any = None) -> Hit | None:
    """Return a result as we tell it; None for one that leads nowhere."""
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return None
    if len(url) > LONGEST_URL or not url.isprintable():
        return None
    told = plain(str(title or ""))[:LONGEST_TITLE] or url
    when = str(published)[:100] if published else None
    return Hit(told, url, plain(str(snippet or ""))[:LONGEST_SNIPPET], source, when)


def _hits(source: str, items: Any, snippet: str, published: str, url: str = "url") -> list[Hit]:
    """Return the results of a list, which has them under these keys.

    Raises:
        AgentFailed: It is no such list.
    """
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise AgentFailed(f"{source!r} answered in a form that is not known.")
    made = (
        hit(source, item.get("title"), item.get(url), item.get(snippet), item.get(published))
        for item in items
    )
    return [one for one in made if one is not None]


def _inside(source: str, body: Any, *keys: str) -> Any:
    """Return what a JSON object has below some keys; an empty list where it has nothing."""
    for key in keys:
        if not isinstance(body, dict):
            raise AgentFailed(f"{source!r} answered in a form that is not known.")
        body = body.get(key)
        if body is None:
            return []
    return body


class Tavily:
    """Tavily's search API.

    Args:
        egress: What asks.
        key: Ours.
        base: Its address.
    """

    name = "tavily"
    setting = "models.tavily_api_key"

    def __init__(self, egress: Egress, key: str, base: str) -> None:
        self._egress, self._key, self._base = egress, key, base

    async def search(self, query: str, limit: int) -> list[Hit]:
        """Return what it finds, best first."""
        answer = await self._egress.ask(
            at(self._base, "search"),
            method="POST",
            kinds=JSON,
            json={"query": query, "max_results": min(limit, TAVILY_MOST)},
            headers={"Authorization": f"Bearer {self._key}"},
        )
        body = parsed(answer, "Tavily", self.setting)
        found = _inside(self.name, body, "results")
        return _hits(self.name, found, "content", "published_date")


class SerpApi:
    """Google's results by SerpAPI.

    Args:
        egress: What asks.
        key: Ours.
        base: Its address.
    """

    name = "serp"
    setting = "web.serpapi_api_key"

    def __init__(self, egress: Egress, key: str, base: str) -> None:
        self._egress, self._key, self._base = egress, key, base

    async def search(self, query: str, limit: int) -> list[Hit]:
        """Return what it finds, best first."""
        answer = await self._egress.ask(
            at(self._base, "search.json"),
            kinds=JSON,
            params={"engine": "google", "q": query, "num": limit, "api_key": self._key},
        )
        body = parsed(answer, "SerpAPI", self.setting)
        found = _inside(self.name, body, "organic_results")
        return _hits(self.name, found, "snippet", "date", url="link")


class Searxng:
    """A SearXNG instance, whose settings allow the format JSON.

    Args:
        egress: What asks.
        base: Its address.
    """

    name = "searxng"
    setting = "web.searxng_url"

    def __init__(self, egress: Egress, base: str) -> None:
        self._egress, self._base = egress, base

    async def search(self, query: str, limit: int) -> list[Hit]:
        """Return what it finds, best first."""
        answer = await self._egress.ask(
            at(self._base, "search"), kinds=JSON, params={"q": query, "format": "json"}
        )
        named = (
            f"{self.setting}; SearXNG answers 403, too, while `json` is not in its search.formats"
        )
        found = _inside(self.name, parsed(answer, "SearXNG", named), "results")
        return _hits(self.name, found, "content", "publishedDate")[:limit]


class Brave:
    """Brave's search API.

    Args:
        egress: What asks.
        key: Ours.
        base: Its address.
    """

    name = "brave"
    setting = "web.brave_api_key"

    def __init__(self, egress: Egress, key: str, base: str) -> None:
        self._egress, self._key, self._base = egress, key, base

    async def search(self, query: str, limit: int) -> list[Hit]:
        """Return what it finds, best first."""
        answer = await self._egress.ask(
            at(self._base, "res/v1/web/search"),
            kinds=JSON,
            params={"q": query, "count": min(limit, BRAVE_MOST)},
            headers={"X-Subscription-Token": self._key},
        )
        body = parsed(answer, "Brave", self.setting)
        found = _inside(self.name, body, "web", "results")
        return _hits(self.name, found, "description", "age")
