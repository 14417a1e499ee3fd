"""Reads pages."""

import asyncio
import codecs
import json
import re

from cartrita.clock import Clock
from cartrita.egress.client import Answer, Egress
from cartrita.errors import AgentFailed, NetworkFailed
from cartrita.providers.ports_web import Page
from cartrita.providers.web.markup import Markup
from cartrita.providers.web.robots import Robots

HTML = ("text/html", "application/xhtml+xml")
LONGEST_CONTENT = 200_000
"""Characters of what is no HTML."""

KINDS = (*HTML, "text/*", "application/json", "*+json")
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which another try makes sense."""

_DECLARED = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Pages:
    """Pages of the public internet.

    Args:
        egress: What asks for them.
        clock: For how long rules hold.
        robots: The product name that sites' rules are for.
        markup: What reads HTML.
    """

    def __init__(
        self, egress: Egress, clock: Clock, robots: str = "Cartrita", markup: Markup | None = None
    ) -> None:
        self._egress, self._markup = egress, markup or Markup()
        self._robots = Robots(egress, clock, robots)

    async def close(self) -> None:
        """Close the connections, and end what reads HTML."""
        await self._egress.close()
        self._markup.close()

    async def fetch(self, url: str) -> Page:
        """Return a page."""
        answer = await self._egress.ask(url, kinds=KINDS, before=self._robots.check)
        if not answer.ok:
            kind = NetworkFailed if answer.status in PASSING else AgentFailed
            raise kind(f"{answer.url!r} answered {answer.status}.")
        if answer.kind in HTML:
            return await self._markup.read(answer.url, decoded(answer), answer.kind)
        return await asyncio.to_thread(written, answer)


def written(answer: Answer) -> Page:
    """Return what an answer that is no HTML says."""
    text = decoded(answer)
    if answer.kind.endswith("json"):
        text = _indented(text)
    return Page(answer.url, None, text[:LONGEST_CONTENT].strip(), kind=answer.kind)


def decoded(answer: Answer) -> str:
    """Return a body as text, whatever it is; what cannot be read is marked as such."""
    body = answer.body
    mark = next((name for sign, name in _MARKS.items() if body.startswith(sign)), None)
    declared = _DECLARED.search(body[:2048]) if answer.kind in HTML else None
    for name in (mark, answer.charset, declared and declared[1].decode("ascii")):
        if name and (codec := _text_codec(name)):
            return body.decode(codec, "replace").replace("\x00", "")
    return body.decode("utf-8", "replace").replace("\x00", "")


def _text_codec(name: str) -> str | None:
    """Return the codec of a name; some of Python's do other things than text."""
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    if not codec._is_text_encoding or codec.name in ("idna", "punycode", "undefined"):  # noqa: SLF001
        return None
    return codec.name


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=1)
    except (ValueError, RecursionError):
        return text
