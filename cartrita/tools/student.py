"""Student's t distribution, for intervals and tests."""

import math

_TINY = 1e-300
_STEPS = 300
"""Of the continued fraction, which converges long before."""


def two_sided(t: float, freedom: float) -> float:
    """Return how likely a t is to be further from 0 than this one is."""
    return _beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def t_quantile(p: float, freedom: float) -> float:
    """Return the t below which a share `p` lies, 0.5 <= p < 1, by halving."""
    low, high = 0.0, 1.0
    while 1 - two_sided(high, freedom) / 2 < p:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        if 1 - two_sided(middle, freedom) / 2 < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function (Abramowitz and Stegun 26.5.8)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly
        return 1 - _beta(b, a, 1 - x)
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(log + a * math.log(x) + b * math.log1p(-x)) / a
    return front / _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    """Evaluate the continued fraction by Lentz's method."""
    value = upper = 1.0
    lower = 0.0
    for step in range(1, _STEPS):
        lower = 1 / _clear(1 + _term(step, a, b, x) * lower)
        upper = _clear(1 + _term(step, a, b, x) / upper)
        value *= upper * lower
        if abs(upper * lower - 1) < 1e-15:  # noqa: PLR2004 - what a float can tell
            break
    return value


def _term(step: int, a: float, b: float, x: float) -> float:
    half = step // 2
    if step % 2:
        return -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
    return half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))


def _clear(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
