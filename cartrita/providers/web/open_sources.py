"""Sources that want no key: Wikipedia and arXiv."""

from urllib.parse import quote
from xml.etree import ElementTree as ET

from cartrita.egress.client import Egress
from cartrita.errors import AgentFailed
from cartrita.providers.ports_web import Hit
from cartrita.providers.web.asking import JSON, at, parsed, refusal
from cartrita.providers.web.engines import hit

_ATOM = "{http://www.w3.org/2005/Atom}"


class Wikipedia:
    """Wikipedia, in the language of its address.

    Args:
        egress: What asks.
        base: Its address.
    """

    name = "wikipedia"
    setting = "web.wikipedia_url"

    def __init__(self, egress: Egress, base: str) -> None:
        self._egress, self._base = egress, base

    async def search(self, query: str, limit: int) -> list[Hit]:
        """Return articles, best first."""
        answer = await self._egress.ask(
            at(self._base, "w/api.php"),
            kinds=JSON,
            params={
                "action": "query",
                "list": "search",
                "srsearch": query,
                "srlimit": limit,
                "format": "json",
            },
        )
        body = parsed(answer, "Wikipedia", self.setting)
        try:
            found = body["query"]["search"]
            made = [
                hit(self.name, item["title"], self._page(item["title"]), item["snippet"])
                for item in found
            ]
        except (KeyError, TypeError) as error:
            raise AgentFailed(f"Wikipedia answered in a form that is not known: {error}") from None
        return [one for one in made if one is not None]

    def _page(self, title: str) -> str:
        return at(self._base, f"wiki/{quote(title.replace(' ', '_'))}")


class Arxiv:
    """Papers on arXiv.

    Args:
        egress: What asks.
        base: The address of its API.
    """

    name = "arxiv"
    setting = "web.arxiv_url"

    def __init__(self, egress: Egress, base: str) -> None:
        self._egress, self._base = egress, base

    async def search(self, query: str, limit: int) -> list[Hit]:
        """Return papers, best first."""
        words = " AND ".join(f'all:"{word}"' for word in query.replace('"', " ").split())
        answer = await self._egress.ask(
            at(self._base, "api/query"),
            kinds=("application/atom+xml", "application/xml", "text/xml"),
            params={"search_query": words, "max_results": limit},
        )
        if not answer.ok:
            raise refusal(answer, "arXiv", self.setting)
        made = [self._paper(entry) for entry in _feed(answer.body).iter(f"{_ATOM}entry")]
        return [one for one in made if one is not None]

    def _paper(self, entry: ET.Element) -> Hit | None:
        told = {
            name: entry.findtext(f"{_ATOM}{name}", "")
            for name in ("id", "title", "summary", "published")
        }
        link = told["id"].strip().replace("http://arxiv.org/", "https://arxiv.org/", 1)
        return hit(self.name, told["title"], link, told["summary"], told["published"])


def _feed(body: bytes) -> ET.Element:
    # Entities, which could grow without end or name files, must be declared in a DTD; read as
    # UTF-8 first, so that no other encoding hides one.
    text = body.decode("utf-8", "replace")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise AgentFailed("arXiv answered with a document type, which no feed has.")
    try:
        return ET.fromstring(text)  # noqa: S314 - see above
    except ET.ParseError as error:
        raise AgentFailed(f"arXiv answered something that is no feed: {error}") from None
