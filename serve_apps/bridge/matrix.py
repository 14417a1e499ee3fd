"""Writes the lists of MIGRATION.md, or checks them: `python -m serve_apps.bridge.matrix --check`.

What stands above the mark in the file is written by hand, and stays.
"""

import argparse
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

from serve_apps.bridge.table import Refused, Row, Table, load

PAGE = "MIGRATION.md"
MARK = "<!-- Below, `python -m serve_apps.bridge.matrix` writes what the rows say. -->\n"
SUCCESSORS = Path(__file__).with_name("successors.toml")

SERVED, CHANGED, LATER, GONE = "served", "changed", "later", "gone"
_STATES = {
    SERVED: "The bridge answers as v2 did.",
    CHANGED: "It answers, and the last column tells what is different, and why.",
    LATER: "What it needs is not there yet: it answers 501. With `migration.v2_url` v2 answers, "
    "unless it was open to everybody there.",
    GONE: "It answers 404, or 401 without a token, on purpose.",
}
_BEFORE = {
    "M": "v2 answered with constants",
    "B": "broken in v2",
    "absent": "not there in v2",
}


@dataclass(frozen=True, slots=True)
class Line:
    """What is told of one route."""

    route: str
    state: str
    by: str
    instead: str
    why: str

    @property
    def group(self) -> str:
        """The heading it stands under."""
        method, _, path = self.route.partition(" ")
        if method == "socket":
            return "Socket.IO"
        if not path.startswith("/"):
            return "Ways in"
        pieces = path.split("/")
        return f"/api/{pieces[2]}" if path.startswith("/api/") else "Outside of /api"

    def __str__(self) -> str:
        route = self.route if "`" in self.route else f"`{self.route}`"
        cells = (route, self.state, self.by, self.instead, self.why)
        return f"| {' | '.join(_cell(text) for text in cells)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def lines(table: Table, instead: Mapping[str, str]) -> list[Line]:
    """Return a line for each row and each refused route, in the order of their paths."""
    rows = {row.route for row in table.rows}
    found = [_of_row(row, instead) for row in table.rows]
    found += [_of_refused(one) for one in table.refused if one.route not in rows]
    return sorted(found, key=lambda line: (line.group != "Socket.IO", line.group, _key(line)))


def _key(line: Line) -> tuple[str, str]:
    method, _, path = line.route.partition(" ")
    return path, method


def _of_row(row: Row, known: Mapping[str, str]) -> Line:
    state = LATER if row.later else CHANGED if row.note else SERVED
    why = [row.note, f"Needs the {row.later} team." if row.later else "", _was(row)]
    instead = f"task `{row.task}`" if row.task else _successor(row, known)
    return Line(row.route, state, ", ".join(row.by), instead, " ".join(filter(None, why)))


def _was(row: Row) -> str:
    before = _BEFORE.get(row.seen)
    return f"({before[0].upper()}{before[1:]}.)" if before else ""


def _of_refused(one: Refused) -> Line:
    return Line(one.route, GONE, "", "", f"{one.status}: {one.why}")


def _successor(row: Row, known: Mapping[str, str]) -> str:
    name = row.route if row.method == "socket" else row.path
    fitting = [path for path in known if name == path or name.startswith(f"{path}/")]
    return known[max(fitting, key=len)] if fitting else ""


@cache
def successors() -> Mapping[str, str]:
    """Return what to use in the place of routes, by what those begin with."""
    return tomllib.loads(SUCCESSORS.read_text(encoding="utf-8"))


def generated(table: Table | None = None) -> str:
    """Return all that stands below the mark."""
    return "\n".join([MARK, *_lists(lines(table or load(), successors()))]) + "\n"


def _lists(found: Sequence[Line]) -> Iterator[str]:
    counts = Counter(line.state for line in found)
    yield "| State | Routes | Meaning |"
    yield "|---|---|---|"
    for state, meaning in _STATES.items():
        yield f"| {state} | {counts[state]} | {meaning} |"
    yield ""
    for group, members in groupby(found, key=lambda line: line.group):
        yield f"### {group}\n"
        yield "| Route | State | Called by | In v3 | What is different, and why |"
        yield "|---|---|---|---|---|"
        yield from map(str, members)
        yield ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the lists; with `--check` only tell whether they are current."""
    parser = argparse.ArgumentParser(
        prog="python -m serve_apps.bridge.matrix", description=main.__doc__
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 where they differ")
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout")
    options = parser.parse_args(arguments)
    path = options.root / PAGE
    head, mark, _ = path.read_text(encoding="utf-8").partition(MARK)
    page = head + generated()
    if mark and path.read_text(encoding="utf-8") == page:
        return 0
    if options.check:
        sys.stderr.write(f"{PAGE} is not current: run `python -m serve_apps.bridge.matrix`.\n")
        return 1
    path.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
