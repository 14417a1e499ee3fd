"""Opens the web as the settings have it."""

# ruff: noqa: PLC0415 - a process pays for the adapters that its agents ask for

from collections.abc import Callable
from typing import Any

from cartrita.clock import SystemClock
from cartrita.config.kinds import text_of
from cartrita.config.settings import Settings
from cartrita.providers.guarded import Flow, Guarded
from cartrita.providers.ports_hooks import Webhooks
from cartrita.providers.ports_web import GitHubSearch, WebFetch, WebSearch


def web_openers(settings: Settings) -> dict[Any, Callable[[Any], Any]]:
    """Return how the ports of the web are opened."""

    async def search(services: Any) -> WebSearch:
        return open_search(settings, await services.get(Flow))

    async def github(services: Any) -> GitHubSearch:
        return open_github(settings, await services.get(Flow))

    return {
        WebFetch: lambda _services: open_pages(settings),
        WebSearch: search,
        GitHubSearch: github,
        Webhooks: lambda _services: open_hooks(settings),
    }


def open_pages(settings: Settings) -> WebFetch:
    """Return what reads pages."""
    from cartrita.providers.web.pages import Pages

    robots = settings.egress.user_agent.partition("/")[0]
    return Pages(_public(settings), SystemClock(), robots)


def open_hooks(settings: Settings) -> Webhooks:
    """Return what sends to addresses that callers and models name."""
    from cartrita.providers.web.hooks import Hooks

    return Hooks(_public(settings))


def _public(settings: Settings) -> Any:
    from cartrita.egress.client import Bounds, Egress
    from cartrita.egress.policy import public

    chosen = settings.egress
    return Egress(
        public(chosen.allow, chosen.ports, chosen.hosts),
        user_agent=chosen.user_agent,
        bounds=Bounds(chosen.max_bytes, chosen.timeout_s, chosen.redirects),
    )


def open_search(settings: Settings, flow: Flow) -> WebSearch:
    """Return all search engines that are configured, and those that need no key."""
    from cartrita.providers.web.asking import to_services
    from cartrita.providers.web.engines import Brave, Searxng, SerpApi, Tavily
    from cartrita.providers.web.open_sources import Arxiv, Wikipedia
    from cartrita.providers.web.search import Engine, Engines

    web, egress = settings.web, to_services(settings.egress.user_agent)
    engines: list[Engine] = []
    if key := text_of(settings.models.tavily_api_key):
        engines.append(Tavily(egress, key, web.tavily_url))
    if key := text_of(web.serpapi_api_key):
        engines.append(SerpApi(egress, key, web.serpapi_url))
    if key := text_of(web.brave_api_key):
        engines.append(Brave(egress, key, web.brave_url))
    if web.searxng_url:
        engines.append(Searxng(egress, web.searxng_url))
    names = {engine.name for engine in engines}
    kinds = (Tavily, SerpApi, Brave, Searxng)
    absent = {kind.name: kind.setting for kind in kinds if kind.name not in names}
    free = (Wikipedia(egress, web.wikipedia_url), Arxiv(egress, web.arxiv_url))
    guards = {
        engine.name: Guarded(flow.lane(engine.name), hedge_after=web.hedge_after_s)
        for engine in (*engines, *free)
    }
    return Engines(engines, free, absent, egress, guards=guards, chain=web.chain)


def open_github(settings: Settings, flow: Flow) -> GitHubSearch:
    """Return GitHub's search."""
    from cartrita.providers.web.asking import to_services
    from cartrita.providers.web.github import GitHub

    egress = to_services(settings.egress.user_agent)
    token = text_of(settings.web.github_token)
    guard = Guarded(flow.lane("github"), hedge_after=settings.web.hedge_after_s)
    return GitHub(egress, SystemClock(), settings.web.github_url, token, guard=guard)
