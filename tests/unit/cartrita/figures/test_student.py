"""Tests of cartrita/figures/student.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.figures.student import quantile, two_sided


@pytest.mark.parametrize(
    ("freedom", "t"),
    # The column for 0.05, two-sided, of any table.
    [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (120, 1.980)],
)
def test_it_agrees_with_the_tables(freedom, t):
    assert quantile(0.95, freedom) == pytest.approx(t, abs=0.001)
    assert two_sided(t, freedom) == pytest.approx(0.05, abs=0.0002)


@given(st.floats(0, 50), st.integers(1, 10_000))
def test_it_is_a_probability_that_falls_with_t(t, freedom):
    near, far = two_sided(t, freedom), two_sided(t + 0.5, freedom)
    assert 0 <= far <= near <= 1
    assert two_sided(-t, freedom) == near


def test_one_degree_is_the_cauchy_distribution():
    assert two_sided(1.0, 1) == pytest.approx(0.5)
    assert two_sided(0.0, 7) == 1.0
    assert two_sided(float("inf"), 7) == 0.0
