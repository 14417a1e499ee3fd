"""Tests of cartrita/figures/metrics.py."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.figures.metrics import FIGURES, calculate

numbers = st.lists(
    st.floats(min_value=-1e6, max_value=1e6) | st.integers(-(10**6), 10**6), min_size=2, max_size=50
)


@given(numbers)
def test_figures_agree_with_the_standard_library_and_numpy(values):
    close = {"rel_tol": 1e-9, "abs_tol": 1e-9}
    assert math.isclose(calculate("mean", values), statistics.fmean(values), **close)
    assert math.isclose(
        calculate("std", values), statistics.stdev(values), rel_tol=1e-6, abs_tol=1e-6
    )
    assert math.isclose(calculate("median", values), statistics.median(values), **close)
    assert math.isclose(calculate("p90", values), float(np.percentile(values, 90)), **close)
    assert calculate("range", values) == max(values) - min(values)


@given(st.lists(st.integers(-(2**80), 2**80), min_size=1))
def test_sums_of_whole_numbers_are_exact(values):
    assert calculate("sum", values) == sum(values)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("count", [], 0),
        ("sum", [0.1] * 10, 1.0),
        ("growth", [80, 100], 25.0),
        ("growth", [-50, -25], 50.0),
        ("growth_rate", [100, 110, 121], 10.0),
        ("p99.9", [1, 2], 1.999),
        ("p0", [3, 1, 2], 1.0),
        ("mode", [3, 1, 3, 1], 3),
        ("iqr", [1, 2, 3, 4, 5], 2.0),
        ("distinct", [1, 1.0, 2], 2),
        ("variance", [1, 2, 3], 1.0),
        ("skewness", [1, 2, 3], 0.0),
        ("first", [5, 6], 5),
    ],
)
def test_a_figure_is_what_it_says(name, values, expected):
    assert calculate(name, values) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("mean", []),
        ("std", [1]),
        ("growth", [0, 5]),
        ("growth_rate", [-1, 5]),
        ("cv", [-1, 1]),
        ("skewness", [2, 2, 2]),
        ("p50", []),
        ("sum", [1.7e308, 1.7e308]),
    ],
)
def test_where_there_is_no_figure_none_is_made_up(name, values):
    assert calculate(name, values) is None


@given(st.sampled_from(sorted(FIGURES)), st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_no_figure_is_infinite_or_fails(name, values):
    found = calculate(name, values)
    assert found is None or math.isfinite(found)
