"""Calculates figures of a series of numbers."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
from pydantic import StringConstraints

Figure = int | float
Numbers = Sequence[Figure]


def _mean(values: Numbers) -> float:
    return math.fsum(values) / len(values)


def _variance(values: Numbers) -> float:
    """Of a sample: divided by one less than there are values."""
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _std(values: Numbers) -> float:
    return math.sqrt(_variance(values))


def _percentile(values: Numbers, percent: float) -> float:
    """Interpolate linearly between the nearest two, as NumPy and spreadsheets do."""
    with np.errstate(all="ignore"):
        return float(np.percentile(np.asarray(values, dtype=np.float64), percent))


def _growth(values: Numbers) -> float:
    """Return by how many percent the last differs from the first."""
    return 100 * (values[-1] - values[0]) / abs(values[0])


def _growth_rate(values: Numbers) -> float:
    """Return the percent per step that, compounded, lead from the first to the last."""
    if values[0] <= 0 or values[-1] <= 0:
        raise ZeroDivisionError
    return float(100 * ((values[-1] / values[0]) ** (1 / (len(values) - 1)) - 1))


def _skewness(values: Numbers) -> float:
    mean = _mean(values)
    second = math.fsum((value - mean) ** 2 for value in values) / len(values)
    third = math.fsum((value - mean) ** 3 for value in values) / len(values)
    return float(third / second**1.5)


def _mode(values: Numbers) -> Figure:
    """Return the most frequent, and of several the first."""
    return Counter(values).most_common(1)[0][0]


def _sum(values: Numbers) -> Figure:
    return sum(values) if all(isinstance(value, int) for value in values) else math.fsum(values)


FIGURES: dict[str, tuple[int, Callable[[Numbers], Figure]]] = {
    "count": (0, len),
    "sum": (0, _sum),
    "mean": (1, _mean),
    "average": (1, _mean),
    "median": (1, lambda values: _percentile(values, 50)),
    "mode": (1, _mode),
    "min": (1, min),
    "max": (1, max),
    "range": (1, lambda values: max(values) - min(values)),
    "variance": (2, _variance),
    "std": (2, _std),
    "cv": (2, lambda values: _std(values) / abs(_mean(values))),
    "iqr": (1, lambda values: _percentile(values, 75) - _percentile(values, 25)),
    "skewness": (3, _skewness),
    "distinct": (0, lambda values: len(set(values))),
    "first": (1, lambda values: values[0]),
    "last": (1, lambda values: values[-1]),
    "growth": (2, _growth),
    "growth_rate": (2, _growth_rate),
}
"""How many values each needs, and how it is calculated."""

ORDERED = frozenset({"first", "last", "growth", "growth_rate"})
"""These depend on the order of the values."""

USUAL = ("count", "sum", "mean", "median", "min", "max", "std")

MetricName = Annotated[
    str, StringConstraints(pattern=rf"^({'|'.join(FIGURES)}|p(100|\d{{1,2}}(\.\d{{1,2}})?))$")
]
"""A key of `FIGURES`, or a percentile such as `p95` or `p99.9`."""

_PERCENTILE = re.compile(r"p([\d.]+)")


def calculate(name: str, values: Numbers) -> Figure | None:
    """Return one figure; None where these values have none.

    Args:
        name: A `MetricName`.
        values: Finite; in order, where that matters.
    """
    match = _PERCENTILE.fullmatch(name)
    needed, figure = (1, _percentiles(float(match[1]))) if match else FIGURES[name]
    if len(values) < needed:
        return None
    try:
        found = figure(values)
    except (ZeroDivisionError, OverflowError):  # growth from nothing; beyond any double
        return None
    if isinstance(found, int):
        return found
    return found if math.isfinite(found) else None


def _percentiles(percent: float) -> Callable[[Numbers], Figure]:
    return lambda values: _percentile(values, percent)
