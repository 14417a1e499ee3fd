"""Finds what a series does over time: a line, a cycle, a smooth course, jumps."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from cartrita.figures import student

Values = npt.NDArray[np.float64]

CONFIDENCE = 0.95
LEAST_LINE = 3
"""Points; two are a line whatever they mean."""

MOST_JUMPS = 20
LEAST_SEGMENT = 3
"""Points between two jumps."""

PENALTY = 4.0
"""Times the noise's variance and ln n, that a jump has to explain (Yao 1988: at least 2)."""

ROUNDING = 1e-13
"""Differences below this share of the largest value are none."""

QUARTILE = 0.6745
"""Half of a normal distribution lies within so many standard deviations."""

CORRELATED = 0.3
"""Residuals that follow their predecessor more than this make a p-value too small."""


@dataclass(frozen=True, slots=True)
class Line:
    """A least-squares line.

    Attributes:
        low, high: Bounds of the slope, at `CONFIDENCE`.
        p: How likely a slope this far from zero is by chance, if residuals are independent.
        correlation: Of each residual with the one before it.
    """

    slope: float
    intercept: float
    r2: float
    p: float
    low: float
    high: float
    correlation: float


def line(x: Values, y: Values) -> Line:
    """Fit a line; `x` and `y` have at least `LEAST_LINE` points, and `x` is not constant."""
    apart = x - x.mean()
    spread = float(apart @ apart)
    slope = float(apart @ (y - y.mean())) / spread
    intercept = float(y.mean()) - slope * float(x.mean())
    rest = y - (intercept + slope * x)
    unexplained, whole = _squares(rest), _squares(y - y.mean())
    exact = unexplained <= 1e-24 * max(whole, _squares(y))  # what is left is rounding
    freedom = len(x) - 2
    error = 0.0 if exact else math.sqrt(unexplained / freedom / spread)
    p = (0.0 if slope else 1.0) if exact else student.two_sided(slope / error, freedom)
    reach = student.quantile(CONFIDENCE, freedom) * error
    r2 = 1 - unexplained / whole if whole else 0.0
    follows = 0.0 if exact else float(rest[1:] @ rest[:-1]) / unexplained
    return Line(slope, intercept, max(r2, 0.0), p, slope - reach, slope + reach, follows)


def _squares(values: Values) -> float:
    return float(values @ values)


@dataclass(frozen=True, slots=True)
class Cycle:
    """A classical additive decomposition.

    Attributes:
        pattern: What each place of the cycle adds; they sum to zero.
        trend: NaN half a cycle at both ends.
        strength: Share of what the trend leaves that the pattern explains (Hyndman).
    """

    pattern: Values
    trend: Values
    strength: float


def cycle(y: Values, period: int) -> Cycle:
    """Take a series apart; it has at least two cycles of `period` >= 2 points."""
    trend = _centred(y, period)
    left = y - trend
    places = np.arange(len(y)) % period
    pattern = np.array([np.nanmean(left[places == place]) for place in range(period)])
    pattern -= pattern.mean()
    known = ~np.isnan(left)
    without = left[known] - pattern[places[known]]
    whole = float(np.var(left[known]))
    strength = max(0.0, 1 - float(np.var(without)) / whole) if whole else 0.0
    return Cycle(pattern, trend, strength)


def _centred(y: Values, period: int) -> Values:
    """Average over one cycle around each point; of an even one both ends count half."""
    weights = np.ones(period + 1 - period % 2)
    if period % 2 == 0:
        weights[[0, -1]] = 0.5
    half = len(weights) // 2
    found = np.full(len(y), np.nan)
    found[half : len(y) - half] = np.convolve(y, weights / period, mode="valid")
    return found


def moving_average(y: Values, window: int) -> Values:
    """Average each point with those before it; shorter at the beginning."""
    sums = np.concatenate([[0.0], np.cumsum(y - y.mean())])
    ends = np.arange(1, len(y) + 1)
    starts = np.maximum(ends - window, 0)
    averages: Values = (sums[ends] - sums[starts]) / (ends - starts) + y.mean()
    return averages


@dataclass(frozen=True, slots=True)
class Jump:
    """A place where the mean changes: `index` is the first point after it."""

    index: int
    before: float
    after: float


def jumps(y: Values) -> list[Jump]:
    """Find where the mean of a series changes, by binary segmentation, in order.

    A change counts when it explains more than `PENALTY` times the variance of the noise, which
    is told from how much neighbours differ, and the logarithm of the series' length.
    """
    rounding = len(y) * (ROUNDING * float(np.abs(y).max())) ** 2
    bar = max(PENALTY * _noise(y) * math.log(max(len(y), 2)), rounding)
    found: list[int] = []
    open_ = [(0, len(y))]
    while open_ and len(found) < MOST_JUMPS:
        start, end = open_.pop(0)
        place, gain = _best_split(y[start:end])
        if gain > bar:
            found.append(start + place)
            open_ += [(start, start + place), (start + place, end)]
    edges = [0, *sorted(found), len(y)]
    means = [float(y[a:b].mean()) for a, b in pairwise(edges)]
    return [Jump(at, means[i], means[i + 1]) for i, at in enumerate(edges[1:-1])]


def _noise(y: Values) -> float:
    """Return the variance of what comes on top of the means; jumps hardly count in a median."""
    steps = np.diff(y)
    if not len(steps):
        return 0.0
    usual = float(np.median(np.abs(steps))) / QUARTILE
    return (usual**2 if usual else float(np.mean(steps**2))) / 2


def _best_split(y: Values) -> tuple[int, float]:
    """Return where two means explain most more than one, and how much."""
    n = len(y)
    if n < 2 * LEAST_SEGMENT:
        return 0, 0.0
    sums = np.cumsum(y - y.mean())  # of what is centred: left and right cancel out
    left = np.arange(LEAST_SEGMENT, n - LEAST_SEGMENT + 1)
    gains = sums[left - 1] ** 2 * n / (left * (n - left))
    best = int(gains.argmax())
    return int(left[best]), float(gains[best])
