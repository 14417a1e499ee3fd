"""Checks the data that a task is given, and says what is wrong in the caller's words."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from cartrita.errors import InvalidParameters
from cartrita.figures.table import MOST_ROWS, Row, columns, time_columns
from cartrita.protocol.task import Name

CITIES: list[dict[str, Any]] = [
    {"day": f"2026-03-{day:02}", "city": city, "amount": amount}
    for day, city, amount in (
        (1, "Rome", 12.5),
        (2, "Oslo", 14),
        (3, "Rome", 15.5),
        (4, "Oslo", 18),
        (5, "Rome", 19.5),
    )
]
"""What the examples of tasks are about."""

Rows = Annotated[list[Row], Field(max_length=MOST_ROWS)]
Dataset = Annotated[
    list[float | None] | list[Row],
    Field(min_length=1, max_length=MOST_ROWS, description="Numbers in order, or rows."),
]
TimeColumn = Annotated[
    Name | None, Field(description="Dates or times in ISO 8601; default: the only such column.")
]


def count_points(dataset: Sequence[Any]) -> int:
    """Return how many values came."""
    return sum(len(item) if isinstance(item, dict) else 1 for item in dataset)


def rows_of(dataset: Sequence[Any]) -> list[Row]:
    """Return the rows of a dataset that is no bare numbers."""
    return [row for row in dataset if isinstance(row, dict)]


def check_columns(rows: Sequence[Row], names: Sequence[str], field: str) -> None:
    """Check that there are such columns.

    Raises:
        InvalidParameters: There is none; it names the parameter `field`.
    """
    there = columns(rows)
    for name in names:
        if rows and name not in there:
            raise wrong(field, f"there is no column {name!r}, only {', '.join(there[:20])}")


def the_time_column(rows: Sequence[Row], named: str | None) -> str | None:
    """Return the column of times that is named, or the only one there is."""
    names = time_columns(rows) if named is None else [named]
    return names[0] if len(names) == 1 else None


def time_column(rows: Sequence[Row], named: str | None) -> str:
    """Return the same where there has to be one.

    Raises:
        InvalidParameters: There is none, or there are several.
    """
    found = the_time_column(rows, named)
    if found is None:
        raise wrong("timeColumn", "has to name a column of dates or times in ISO 8601")
    return found


def wrong(field: str, message: str) -> InvalidParameters:
    """Return what to raise when a parameter does not fit the data."""
    return InvalidParameters(f"`{field}`: {message}.", fields=[(f"parameters.{field}", message)])
