"""Tells what is in a table: kinds, figures, frequent values, what belongs together."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np

from cartrita.figures.metrics import Figure, calculate
from cartrita.figures.table import Row, columns, is_number, iso_of, label, moment

Kind = Literal["number", "time", "text", "boolean", "mixed", "empty"]

FIGURES = ("mean", "median", "std", "min", "max", "p25", "p75")
FENCE = 1.5
"""Quartile distances beyond the quartiles from which a value is an outlier (Tukey)."""

MOST_FREQUENT = 5
MOST_CORRELATED = 20
"""Columns that are compared with each other."""

LEAST_PAIRS = 3


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What one column holds.

    Attributes:
        frequent: Values and how often they stand there, of columns that are no numbers.
        span: The first and the last, of a column of times.
    """

    name: str
    kind: Kind
    present: int
    missing: int
    distinct: int
    figures: dict[str, Figure]
    outliers: int
    frequent: list[tuple[str, int]]
    span: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Correlation:
    """Pearson's r of two columns, over the rows that have both."""

    a: str
    b: str
    r: float
    rows: int


def profile(rows: Sequence[Row]) -> list[ColumnProfile]:
    """Describe each column, in order of first appearance."""
    return [_column(name, rows) for name in columns(rows)]


def _column(name: str, rows: Sequence[Row]) -> ColumnProfile:
    values = [value for row in rows if (value := row.get(name)) is not None]
    kind = kind_of(values)
    counts = Counter(map(label, values))
    numbers = values if kind == "number" else []
    figures = {key: found for key in FIGURES if (found := calculate(key, numbers)) is not None}
    return ColumnProfile(
        name=name,
        kind=kind,
        present=len(values),
        missing=len(rows) - len(values),
        distinct=len(counts),
        figures=figures,
        outliers=_outliers(numbers, figures),
        frequent=[] if kind == "number" else counts.most_common(MOST_FREQUENT),
        span=_span(values) if kind == "time" else None,
    )


def kind_of(values: Sequence[Any]) -> Kind:
    """Return what all the values are."""
    kinds = {_kind(value) for value in values}
    if not kinds:
        return "empty"
    if kinds == {"time", "text"}:
        return "text"
    return kinds.pop() if len(kinds) == 1 else "mixed"


def _kind(value: object) -> Kind:
    if isinstance(value, bool):
        return "boolean"
    if is_number(value):
        return "number"
    if moment(value) is not None:
        return "time"
    return "text" if isinstance(value, str) else "mixed"


def _outliers(numbers: Sequence[Figure], figures: dict[str, Figure]) -> int:
    if not numbers:
        return 0
    low, high = figures["p25"], figures["p75"]
    reach = FENCE * (high - low)
    return sum(not low - reach <= value <= high + reach for value in numbers)


def _span(values: Sequence[Any]) -> tuple[str, str]:
    instants = [instant for value in values if (instant := moment(value)) is not None]
    return iso_of(min(instants)), iso_of(max(instants))


def correlations(rows: Sequence[Row], names: Sequence[str]) -> list[Correlation]:
    """Compare columns of numbers with each other, the strongest first."""
    found = [_correlation(rows, a, b) for a, b in combinations(names[:MOST_CORRELATED], 2)]
    return sorted((item for item in found if item), key=lambda item: -abs(item.r))


def _correlation(rows: Sequence[Row], a: str, b: str) -> Correlation | None:
    pairs = [(row[a], row[b]) for row in rows if is_number(row.get(a)) and is_number(row.get(b))]
    if len(pairs) < LEAST_PAIRS:
        return None
    x, y = np.array(pairs, dtype=np.float64).T
    with np.errstate(all="ignore"):
        if not (np.ptp(x) and np.ptp(y)):  # a constant goes with nothing
            return None
        r = float(np.corrcoef(x, y)[0, 1])
    return Correlation(a, b, max(-1.0, min(1.0, r)), len(pairs)) if np.isfinite(r) else None
