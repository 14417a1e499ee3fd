"""Makes text of HTML."""

import re
from collections.abc import Iterator
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser, LexborNode

from cartrita.providers.ports_web import Link, Page

LONGEST_CONTENT = 200_000
"""Characters."""

LONGEST_SNIPPET = 4_000
"""Characters; what is longer may be hostile, and is read in a process of its own (`markup.py`)."""

MOST_LINKS = 500
LONGEST_META = 1_000
LONGEST_LINK = 2_048

_UNSEEN = (
    "script, style, noscript, template, svg, iframe, object, embed, canvas, form, button, select, "
    "[hidden], [aria-hidden=true]"
)
_AROUND = "nav, header, footer, aside, [role=navigation], [role=banner], [role=contentinfo]"
_BLOCKS = (
    "address, article, blockquote, br, caption, dd, details, div, dl, dt, fieldset, figcaption, "
    "figure, h1, h2, h3, h4, h5, h6, hr, li, main, ol, p, pre, section, summary, table, td, th, "
    "tr, ul"
)
_BREAK = "\x1e"
"""Stands between blocks while the text is put together."""

LEAST_MAIN = 200
"""Characters; a shorter `main` is not where the text is."""

_META = {
    "description": ("description", "og:description", "twitter:description"),
    "author": ("author", "article:author"),
    "published": ("article:published_time", "date", "dc.date"),
    "modified": ("article:modified_time",),
    "site": ("og:site_name",),
    "image": ("og:image",),
    "keywords": ("keywords",),
}


def read_html(url: str, text: str, kind: str = "text/html") -> Page:
    """Return what a page says: without navigation, scripts and what it hides."""
    tree = LexborHTMLParser(text)
    base = _base(tree, url)
    title = _title(tree)
    metadata = _metadata(tree, base)
    links = tuple(_links(tree, base))
    return Page(url, title, _content(tree), links, metadata, kind)


def plain(markup: str) -> str:
    """Return a snippet of HTML, or the beginning of a long one, as one line of text."""
    return _line(LexborHTMLParser(markup[:LONGEST_SNIPPET]).text(separator="", strip=False))


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _base(tree: LexborHTMLParser, url: str) -> str:
    node = tree.css_first("base[href]")
    return _joined(url, node.attributes.get("href") if node else None) or url


def _joined(base: str, target: str | None) -> str | None:
    """Return a web address that a page names; None for anything else."""
    try:
        whole = urljoin(base, (target or "").strip())
    except ValueError:
        return None
    fit = whole.startswith(("http://", "https://")) and len(whole) <= LONGEST_LINK
    return whole if fit and whole.isprintable() else None


def _title(tree: LexborHTMLParser) -> str | None:
    for selector in ("title", "h1"):
        node = tree.css_first(selector)
        if node is not None and (text := _line(node.text())):
            return text[:LONGEST_META]
    return None


def _metadata(tree: LexborHTMLParser, base: str) -> dict[str, str]:
    told: dict[str, str] = {}
    for node in tree.css("meta[content]"):
        attributes = node.attributes
        name = (attributes.get("name") or attributes.get("property") or "").lower()
        told.setdefault(name, _line(attributes.get("content") or "")[:LONGEST_META])
    found = {
        ours: text
        for ours, theirs in _META.items()
        if (text := next((told[name] for name in theirs if told.get(name)), ""))
    }
    root = tree.css_first("html")
    language = (root.attributes.get("lang") if root else None) or ""
    if language.strip():
        found["language"] = language.strip()[:35]
    link = tree.css_first("link[rel=canonical]")
    canonical = _joined(base, link.attributes.get("href")) if link else None
    return found | ({"canonical": canonical} if canonical else {})


def _links(tree: LexborHTMLParser, base: str) -> Iterator[Link]:
    seen: set[str] = set()
    for node in tree.css("a[href]"):
        url = _joined(base, node.attributes.get("href"))
        url = url and url.partition("#")[0]
        if url is None or url in seen:
            continue
        seen.add(url)
        yield Link(url, _line(node.text())[:200])
        if len(seen) >= MOST_LINKS:
            return


def _content(tree: LexborHTMLParser) -> str:
    """Return the main text; takes the tree apart."""
    body = tree.body
    if body is None:
        return ""
    for node in tree.css(_UNSEEN):
        node.decompose()
    for node in tree.css(_BLOCKS):
        node.insert_before(_BREAK)
        node.insert_after(_BREAK)
    for selector in ("main, [role=main]", "article"):
        parts = body.css(selector)
        if len(parts) == 1 and len(text := _text(parts[0])) >= LEAST_MAIN:
            return text
    whole = _text(body)
    for node in body.css(_AROUND):
        node.decompose()
    # A page may be all header; then that is what it says.
    return _text(body) or whole


def _text(node: LexborNode) -> str:
    lines = (_line(piece) for piece in node.text(separator="", strip=False).split(_BREAK))
    return "\n".join(line for line in lines if line)[:LONGEST_CONTENT]
