"""Reads a series of numbers with their times, in order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cartrita.figures.table import Period, Row, is_number, moment, present, seconds, time_columns
from cartrita.figures.trend import Values

DAY = 86_400
LARGEST = 1e100
"""Squares of larger numbers, summed, leave what a double can hold."""

UNEVEN = 0.1
"""Steps that differ from the usual one by more than this share are uneven."""


class SeriesError(ValueError):
    """There is no such series in the data; the message says why."""


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers in order.

    Attributes:
        y: The numbers.
        times: Seconds since 1970 of each; None where the data have no times.
        skipped: Rows without a number, or without a time where others have one.
    """

    y: Values
    times: Values | None
    skipped: int

    @property
    def step(self) -> float | None:
        """The usual time from one point to the next, in seconds."""
        if self.times is None or len(self.times) < 2:  # noqa: PLR2004 - a pair
            return None
        return float(np.median(np.diff(self.times)))

    @property
    def days(self) -> Values:
        """Days since the first point; where there are no times, points."""
        if self.times is None:
            return np.arange(len(self.y), dtype=np.float64)
        days: Values = (self.times - self.times[0]) / DAY
        return days

    @property
    def even(self) -> bool:
        """Whether one point follows the other after always the same time."""
        step = self.step
        if self.times is None or not step:
            return self.times is None
        return bool(np.all(np.abs(np.diff(self.times) - step) <= UNEVEN * step))


def points(period: Period | int, series: Series) -> int:
    """Return how many points a period is.

    Raises:
        SeriesError: It is a time, and the series has none.
    """
    if isinstance(period, int):
        return period
    step = series.step
    if not step:
        raise SeriesError(
            f"the data have no times to measure {period!r} by: give `period` as a number"
        )
    return round(seconds(period) / step)


def read(
    dataset: Sequence[int | float | None] | Sequence[Row],
    value_column: str | None = None,
    time_column: str | None = None,
) -> Series:
    """Read numbers, or one column of rows by the times in another.

    Raises:
        SeriesError: There is no such series.
    """
    if not dataset or not isinstance(dataset[0], dict):
        values = [value for value in dataset if is_number(value)]
        return _checked(
            Series(np.array(values, dtype=np.float64), None, len(dataset) - len(values))
        )
    rows = [row for row in dataset if isinstance(row, dict)]
    time_column = time_column or _only(time_columns(rows))
    value_column = value_column or _value_column(rows, time_column)
    if not any(map(is_number, present(rows, value_column))):
        raise SeriesError(f"the column {value_column!r} holds no number")
    return _checked(_of_rows(rows, value_column, time_column))


def _checked(series: Series) -> Series:
    if len(series.y) and np.abs(series.y).max() > LARGEST:
        raise SeriesError(f"the numbers are too large to calculate with, {LARGEST:g} at most")
    return series


def _only(names: Sequence[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def _value_column(rows: Sequence[Row], time_column: str | None) -> str:
    """Return the one column with numbers; those of the first rows tell."""
    names = dict.fromkeys(name for row in rows for name in row if name != time_column)
    numeric = [name for name in names if any(is_number(row.get(name)) for row in rows)]
    if len(numeric) != 1:
        told = ", ".join(map(repr, numeric[:10])) or "none"
        raise SeriesError(f"name the column of the values; those with numbers are: {told}")
    return numeric[0]


def _of_rows(rows: Sequence[Row], value_column: str, time_column: str | None) -> Series:
    found: list[tuple[float, float]] = []
    for place, row in enumerate(rows):
        value = row.get(value_column)
        when = float(place) if time_column is None else moment(row.get(time_column))
        if is_number(value) and when is not None:
            found.append((when, float(value)))
    if time_column is not None and not found:
        raise SeriesError(f"the column {time_column!r} holds no date or time in ISO 8601")
    found.sort(key=lambda pair: pair[0])
    times = np.array([when for when, _ in found], dtype=np.float64)
    y = np.array([value for _, value in found], dtype=np.float64)
    return Series(y, None if time_column is None else times, len(rows) - len(found))
