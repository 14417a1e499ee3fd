"""Fills the page's template.

`{{ expression | style }}` becomes a figure. A block of lines (what stands between blank lines)
may begin with `<!-- needs NAME … -->`: without those results it is left out, and with it the
whole section where it has the section's heading. A section of which only the heading is left is
left out, too. `<!-- each PATH: TEXT -->` becomes a line for each entry at a path, with `{key}`
for its name; a figure that one entry lacks is a dash.
"""

import re
from collections.abc import Iterator
from typing import Any

from benchmarks.page.figures import ABSENT, NoFigure, Results, written

FIGURE = re.compile(r"\{\{ (.+?) \| (\S+) \}\}")
_NEEDS = re.compile(r"\n?<!-- needs (.+?) -->(?:\n|$)")
_EACH = re.compile(r"<!-- each (.+?): (.+) -->")


def filled(template: str, results: Results, tables: dict[str, str] | None = None) -> str:
    """Return the page of a template.

    Args:
        template: Its text.
        results: Where the figures come from.
        tables: What stands for `<!-- table NAME -->`.

    Raises:
        NoFigure: It names one that is not there, although its benchmark saved something.
    """
    for name, table in (tables or {}).items():
        template = template.replace(f"<!-- table {name} -->", table)
    sections = re.split(r"(?m)^(?=## )", template)
    kept = (_section(section, results) for section in sections)
    return "\n".join(section for section in kept if section)


def _section(text: str, results: Results) -> str:
    blocks = []
    for block in re.split(r"\n{2,}", text.strip("\n")):
        if not _has_all(block, results):
            if block.startswith("## "):
                return ""
            continue
        blocks.append(_block(_NEEDS.sub("", block), results))
    blocks = [block for block in blocks if block]
    if len(blocks) == 1 and blocks[0].startswith("## "):
        return ""
    return "\n\n".join(blocks) + "\n"


def _has_all(block: str, results: Results) -> bool:
    return all(name in results for needs in _NEEDS.findall(block) for name in needs.split())


def _block(block: str, results: Results) -> str:
    lines = (line for raw in block.split("\n") for line in _lines(raw, results))
    return "\n".join(FIGURE.sub(lambda found: _figure(found, results), line) for line in lines)


def _figure(found: re.Match[str], results: Results) -> str:
    return written(results.value(found[1]), found[2])


def _lines(line: str, results: Results) -> Iterator[str]:
    each = _EACH.fullmatch(line)
    if each is None:
        yield line
        return
    for name, entry in _entries(results, each[1]):
        yield FIGURE.sub(
            lambda found, entry=entry: _own(found, results, entry),  # type: ignore[misc]
            each[2].replace("{key}", name),
        )


def _own(found: re.Match[str], results: Results, entry: Any) -> str:
    try:
        return written(results.value(found[1], entry), found[2])
    except NoFigure:
        return ABSENT


def _entries(results: Results, path: str) -> Iterator[tuple[str, Any]]:
    """Yield each entry at a path with its name; those of a list have none."""
    value = results.raw(path)
    if isinstance(value, dict):
        yield from value.items()
    else:
        yield from (("", item) for item in value)
