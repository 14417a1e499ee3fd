"""Reads simple questions about one table and puts them into SQL, or gives up."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cartrita.figures.names import quoted
from cartrita.figures.table import Row, columns, number_columns

AGGREGATES = {
    "total": "sum",
    "sum": "sum",
    "average": "avg",
    "mean": "avg",
    "median": "median",
    "highest": "max",
    "largest": "max",
    "maximum": "max",
    "max": "max",
    "lowest": "min",
    "smallest": "min",
    "minimum": "min",
    "min": "min",
}
COUNTS = re.compile(r"\b(how many|count|number of)\b")
TOP = re.compile(r"\b(top|first|bottom) (\d{1,4})\b")
GROUPS = re.compile(r"\b(?:by|per|for each|for every|in each|grouped by)\s+(.+)$")
SQL = re.compile(r"\s*(?:\(\s*)*(?:select|with|from)\b", re.IGNORECASE)
_FILLER = """what is are was were the a an of in all show me give list find please tell us there do
we have rows row records entries and its it"""
FILLERS = frozenset(_FILLER.split())
LIKELY_SQL = re.compile(r"\bselect\b.*\S", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Understood:
    """A question as SQL."""

    sql: str


def is_sql(text: str) -> bool:
    """Tell whether a query is meant as SQL rather than as a question."""
    return bool(SQL.match(text) and LIKELY_SQL.search(text))


def understand(question: str, table: str, rows: Sequence[Row]) -> Understood | None:
    """Read one of these, where every other word is filler; None for anything else.

    - how many rows [per COLUMN]
    - total | average | median | highest | lowest … NUMBER COLUMN [per COLUMN]
    - top N [by NUMBER COLUMN]
    """
    text = re.sub(r"[?.!,_]+", " ", question.lower()).strip()
    names = {_spoken(name): name for name in columns(rows)}
    numeric = {_spoken(name) for name in number_columns(rows)}
    top = TOP.search(text)
    if top:
        return _top(top, text, table, names, numeric)
    grouped = GROUPS.search(text)
    rest, by = text, None
    if grouped:
        rest, by = text[: grouped.start()], _column(grouped[1], names)
        if by is None:
            return None
    return _aggregated(rest, by, table, names, numeric)


def _aggregated(
    rest: str, by: str | None, table: str, names: dict[str, str], numeric: set[str]
) -> Understood | None:
    asked = _figure(rest, names, numeric)
    if asked is None:
        return None
    expression, alias = asked
    chosen = f"{expression} AS {quoted(alias)}"
    if by is None:
        return Understood(f"SELECT {chosen} FROM {quoted(table)}")  # noqa: S608 - names are quoted
    key = quoted(by)
    return Understood(
        f"SELECT {key}, {chosen} FROM {quoted(table)} GROUP BY {key} "  # noqa: S608
        f"ORDER BY {quoted(alias)} DESC, {key}"
    )


def _figure(rest: str, names: dict[str, str], numeric: set[str]) -> tuple[str, str] | None:
    """Return what to select and what to call it."""
    counted = COUNTS.search(rest)
    if counted:
        return ("count(*)", "rows") if not _words(COUNTS.sub(" ", rest)) else None
    words = _words(rest)
    functions = {AGGREGATES[word] for word in words if word in AGGREGATES}
    about = " ".join(word for word in words if word not in AGGREGATES)
    column = names.get(about)
    if len(functions) != 1 or column is None or about not in numeric:
        return None
    function = functions.pop()
    return f"{function}({quoted(column)})", f"{function}_{column}"


def _top(
    top: re.Match[str], text: str, table: str, names: dict[str, str], numeric: set[str]
) -> Understood | None:
    rest = f"{text[: top.start()]} {text[top.end() :]}"
    by = re.search(r"\bby\s+(.+)$", rest)
    about = " ".join(_words(by[1])) if by else ""
    if _words(rest[: by.start()] if by else rest):
        return None
    if by is None:
        return None if top[1] != "first" else Understood(_first(table, int(top[2])))
    if about not in numeric:
        return None
    way = "ASC" if top[1] == "bottom" else "DESC"
    return Understood(
        f"SELECT * FROM {quoted(table)} ORDER BY {quoted(names[about])} {way} "  # noqa: S608
        f"NULLS LAST LIMIT {int(top[2])}"
    )


def _first(table: str, count: int) -> str:
    return f"SELECT * FROM {quoted(table)} LIMIT {count}"  # noqa: S608 - names are quoted


def _column(text: str, names: dict[str, str]) -> str | None:
    return names.get(" ".join(_words(text)))


def _spoken(name: str) -> str:
    return " ".join(_words(name.lower().replace("_", " ")))


def _words(text: str) -> list[str]:
    return [word for word in text.split() if word not in FILLERS]
