"""The ports of the web, as tests want them."""

from cartrita.errors import NetworkFailed
from cartrita.providers.ports_web import FoundOnGitHub, Hit, Hits, Link, Page


def hit(number, snippet="", source="tavily"):
    return Hit(f"Title {number}", f"https://site{number}.example/", snippet or "…", source)


class FoundHits:
    """A search that finds what it was given."""

    on_request = ("wikipedia",)

    def __init__(self, *hits, sources=("tavily",), problems=()):
        self.hits, self.sources, self.problems = hits, sources, problems
        self.asked = []

    async def search(self, query, limit, sources=()):
        self.asked.append((query, limit, tuple(sources)))
        wanted = tuple(sources) or self.sources
        known = tuple(name for name in wanted if name in (*self.sources, *self.on_request))
        return Hits(self.hits[:limit] if known else (), known, tuple(self.problems))


class GivenPages:
    """Pages by their address: text, a page, or an error to raise."""

    def __init__(self, pages=None):
        self.pages, self.asked = pages or {}, []

    async def fetch(self, url):
        self.asked.append(url)
        page = self.pages.get(url, NetworkFailed(f"{url!r} cannot be reached."))
        if isinstance(page, Exception):
            raise page
        if isinstance(page, Page):
            return page
        return Page(url, f"At {url}", page, (Link("https://elsewhere.example/", "there"),))


class GivenGitHub:
    """GitHub, with these things on it."""

    def __init__(self, *items, cached=False):
        self.items, self.cached, self.asked = items, cached, []

    async def search(self, kind, query, *, language, sort, limit):
        self.asked.append((kind, query, language, sort, limit))
        return FoundOnGitHub(self.items[:limit], len(self.items), self.cached)
