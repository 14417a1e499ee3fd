"""Steps that turn rows into other rows."""

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from cartrita.figures.metrics import ORDERED, MetricName, calculate
from cartrita.figures.table import (
    Filters,
    Row,
    Scalar,
    columns,
    filtered,
    groups,
    is_number,
    moment,
    present,
)
from cartrita.protocol.task import Name
from cartrita.protocol.wire import WireModel

Rows = Sequence[Row]
Columns = Annotated[list[Name], Field(min_length=1, max_length=200)]

TRUE, FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


class StepError(ValueError):
    """A step does not fit the rows it meets; the message says why."""


class Filter(WireModel):
    """Keep the rows that fit all filters."""

    op: Literal["filter"]
    filters: Filters

    def apply(self, rows: Rows) -> Rows:
        """Return the rows that fit."""
        _known(rows, self.filters)
        return filtered(rows, self.filters)


class Select(WireModel):
    """Keep some columns, in this order."""

    op: Literal["select"]
    columns: Columns

    def apply(self, rows: Rows) -> Rows:
        """Return rows with these columns."""
        _known(rows, self.columns)
        return [{name: row[name] for name in self.columns if name in row} for row in rows]


class Drop(WireModel):
    """Leave some columns out."""

    op: Literal["drop"]
    columns: Columns

    def apply(self, rows: Rows) -> Rows:
        """Return rows without these columns."""
        _known(rows, self.columns)
        gone = set(self.columns)
        return [{name: row[name] for name in row if name not in gone} for row in rows]


class Rename(WireModel):
    """Give columns other names."""

    op: Literal["rename"]
    names: Annotated[dict[Name, Name], Field(min_length=1, max_length=200)]

    def apply(self, rows: Rows) -> Rows:
        """Return rows with the new names."""
        _known(rows, self.names)
        after = [self.names.get(name, name) for name in columns(rows)]
        if len(set(after)) < len(after):
            raise StepError("two columns would have one name")
        return [{self.names.get(name, name): row[name] for name in row} for row in rows]


class Sort(WireModel):
    """Order rows; numbers come before texts, and what is missing comes last."""

    op: Literal["sort"]
    by: Columns
    descending: bool = False

    def apply(self, rows: Rows) -> Rows:
        """Return the rows in order."""
        _known(rows, self.by)
        for name in reversed(self.by):
            there = [row for row in rows if row.get(name) is not None]
            gone = [row for row in rows if row.get(name) is None]
            there.sort(key=lambda row, name=name: _rank(row[name]), reverse=self.descending)  # type: ignore[misc]
            rows = there + gone
        return rows


class Limit(WireModel):
    """Keep so many rows, from `offset` on."""

    op: Literal["limit"]
    count: int = Field(ge=0)
    offset: int = Field(default=0, ge=0)

    def apply(self, rows: Rows) -> Rows:
        """Return some of the rows."""
        return rows[self.offset : self.offset + self.count]


class Deduplicate(WireModel):
    """Keep the first of rows that are equal, as a whole or in some columns."""

    op: Literal["deduplicate"]
    by: Columns | None = None

    def apply(self, rows: Rows) -> Rows:
        """Return the rows that differ."""
        if self.by:
            _known(rows, self.by)
        found: dict[str, Row] = {}
        for row in rows:
            key = {name: row.get(name) for name in self.by or columns(rows)} if self.by else row
            found.setdefault(json.dumps(key, sort_keys=True), row)
        return list(found.values())


class Fill(WireModel):
    """Put something where a value is missing: a value, or what a method finds."""

    op: Literal["fill"]
    column: Name
    value: Scalar | None = None
    method: Literal["mean", "median", "previous"] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.value is None) == (self.method is None):
            raise ValueError("give either `value` or `method`")
        return self

    def apply(self, rows: Rows) -> Rows:
        """Return rows without gaps in this column."""
        _known(rows, [self.column])
        value: Any = self.value
        if self.method in ("mean", "median"):
            numbers = [value for value in present(rows, self.column) if is_number(value)]
            value = calculate(self.method, numbers)
        filled = []
        for row in rows:
            here = row.get(self.column)
            if here is None:
                here = value
            elif self.method == "previous":
                value = here
            filled.append(row if here is None else {**row, self.column: here})
        return filled


class Convert(WireModel):
    """Read a column as something else; what cannot be read becomes null."""

    op: Literal["convert"]
    column: Name
    to: Literal["number", "text", "boolean", "date"]

    def apply(self, rows: Rows) -> Rows:
        """Return rows with the column converted."""
        _known(rows, [self.column])
        read = _READERS[self.to]
        there = [row.get(self.column) is not None for row in rows]
        return [
            {**row, self.column: read(row[self.column])} if known else row
            for row, known in zip(rows, there, strict=True)
        ]


class Aggregate(WireModel):
    """Make one row of each group, with figures of its rows."""

    op: Literal["aggregate"]
    by: Annotated[list[Name], Field(max_length=20)] = Field(default_factory=list)
    figures: Annotated[dict[Name, "FigureOf"], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        both = sorted(set(self.by) & set(self.figures))
        if both:
            raise ValueError(f"{both[0]!r} is both a column to group by and the name of a figure")
        return self

    def apply(self, rows: Rows) -> Rows:
        """Return one row per group, in order of first appearance."""
        _known(rows, [*self.by, *(figure.column for figure in self.figures.values())])
        found = groups(rows, self.by) if self.by else {(): rows}
        return [self._one(members) for members in found.values()]

    def _one(self, members: Rows) -> Row:
        made: dict[str, Any] = {name: members[0].get(name) for name in self.by}
        for name, figure in self.figures.items():
            values = present(members, figure.column)
            if figure.metric == "count":
                made[name] = len(values)
            else:
                made[name] = calculate(figure.metric, [v for v in values if is_number(v)])
        return made


class FigureOf(WireModel):
    """A figure of one column."""

    column: Name
    metric: MetricName = Field(description=f"{', '.join(sorted(ORDERED))} go by the rows' order.")


Step = Annotated[
    Filter | Select | Drop | Rename | Sort | Limit | Deduplicate | Fill | Convert | Aggregate,
    Field(discriminator="op"),
]


def _known(rows: Rows, names: Any) -> None:
    there = columns(rows)
    for name in names:
        if rows and name not in there:
            raise StepError(f"there is no column {name!r}, only {', '.join(map(repr, there[:20]))}")


def _rank(value: object) -> tuple[int, float, str]:
    if is_number(value) or isinstance(value, bool):
        return 0, float(value), ""
    return 1, 0.0, value if isinstance(value, str) else json.dumps(value)


def _number(value: Any) -> Any:
    if is_number(value) or isinstance(value, bool):
        return int(value) if isinstance(value, bool) else value
    try:
        read = float(value)
    except (TypeError, ValueError):
        return None
    if not is_number(read):
        return None
    return int(read) if read.is_integer() and abs(read) < 2**53 else read


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    word = _text(value).strip().lower()
    return True if word in TRUE else False if word in FALSE else None


def _date(value: Any) -> str | None:
    text = value.strip() if isinstance(value, str) else ""
    return text[:10] if moment(text) is not None else None


_READERS: dict[str, Callable[[Any], Any]] = {
    "number": _number,
    "text": _text,
    "boolean": _boolean,
    "date": _date,
}
