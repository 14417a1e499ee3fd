"""Reads rows of JSON as a table: numbers, times, filters, groups."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, TypeGuard

from pydantic import Field, StringConstraints

from cartrita.protocol.task import Name
from cartrita.protocol.wire import WireModel

Row = dict[str, Any]
Scalar = str | bool | int | float

MOST_ROWS = 100_000
FIRST_YEAR, LAST_YEAR = 2, 9998
LONGEST_LABEL = 120
"""Characters of a value that stands for a group, or in a report."""

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "mo": 2_592_000, "y": 31_536_000}
"""Seconds; a month is 30 days and a year 365."""

Period = Annotated[str, StringConstraints(pattern=r"^[1-9]\d{0,4}(s|m|h|d|w|mo|y)$")]
"""A length of time: `90m` (minutes), `30d`, `6mo`, `1y`."""

_PERIOD = re.compile(r"(\d+)([a-z]+)")
_LIKE_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")


class Range(WireModel):
    """From `min` to `max`, both included; numbers, or times in ISO 8601."""

    min: float | str | None = None
    max: float | str | None = None


Filters = Annotated[
    dict[Name, Scalar | list[Scalar] | Range],
    Field(
        max_length=50,
        description="By column: a value, several of which one must fit, or `{min, max}`.",
    ),
]


def seconds(period: str) -> float:
    """Return how long a `Period` is."""
    match = _PERIOD.fullmatch(period)
    assert match is not None
    return float(int(match[1]) * UNITS[match[2]])


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell whether a value can be calculated with; truth values cannot."""
    return isinstance(value, int | float) and not isinstance(value, bool) and _finite(value)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:  # a whole number beyond any double
        return False


def moment(value: object) -> float | None:
    """Return seconds since 1970 of a date or time in ISO 8601, which is UTC where it says nothing.

    None for anything else.
    """
    if isinstance(value, datetime | date):
        value = value.isoformat()
    if not isinstance(value, str) or not _LIKE_TIME.fullmatch(value):
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:  # 30 February
        return None
    if not FIRST_YEAR <= read.year <= LAST_YEAR:  # a time zone would lead beyond the calendar
        return None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def iso_of(instant: float) -> str:
    """Return an instant as a date, or as a date and time where it is not midnight."""
    read = datetime.fromtimestamp(instant, UTC)
    return read.date().isoformat() if not instant % UNITS["d"] else f"{read:%Y-%m-%dT%H:%M:%SZ}"


def columns(rows: Iterable[Row]) -> list[str]:
    """Return the union of the rows' keys, in order of first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row))


def present(rows: Iterable[Row], column: str) -> list[Any]:
    """Return a column's values, without those that are missing or null."""
    return [value for row in rows if (value := row.get(column)) is not None]


def number_columns(rows: Sequence[Row]) -> list[str]:
    """Return the columns that hold nothing but numbers."""
    return [name for name in columns(rows) if _all(present(rows, name), is_number)]


def time_columns(rows: Sequence[Row]) -> list[str]:
    """Return the columns that hold nothing but dates or times."""
    return [name for name in columns(rows) if _all(present(rows, name), _is_time)]


def _is_time(value: object) -> bool:
    return moment(value) is not None


def _all(values: Sequence[Any], test: Any) -> bool:
    return bool(values) and all(map(test, values))


def label(value: object) -> str:
    """Return a value as a short text."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = text.encode("utf-8", "replace").decode()  # JSON lets halves of characters through
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"


def filtered(rows: Iterable[Row], filters: Mapping[str, Any]) -> list[Row]:
    """Return the rows that fit all filters; a row without the column fits none on it."""
    return [row for row in rows if all(_fits(row.get(name), f) for name, f in filters.items())]


def _fits(value: object, wanted: object) -> bool:
    if isinstance(wanted, Range):
        return _within(value, wanted)
    wanted = wanted if isinstance(wanted, list) else [wanted]
    return any(value == one and isinstance(value, bool) is isinstance(one, bool) for one in wanted)


def _within(value: object, wanted: Range) -> bool:
    place = _place(value)
    low, high = _place(wanted.min), _place(wanted.max)
    if place is None:
        return False
    return (low is None or place >= low) and (high is None or place <= high)


def _place(value: object) -> float | None:
    return float(value) if is_number(value) else moment(value)


def groups(rows: Iterable[Row], by: Sequence[str]) -> dict[tuple[str, ...], list[Row]]:
    """Return rows by the labels they have in some columns, in order of first appearance."""
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(label(row.get(name)) for name in by), []).append(row)
    return found
