"""Tests of cartrita/figures/trend.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.figures.trend import cycle, jumps, line, moving_average


def noise(n, seed=1, spread=1.0):
    return np.random.default_rng(seed).normal(0, spread, n)


def test_a_line_has_the_slope_error_and_p_value_of_the_textbook():
    # Anscombe's first set: every statistics package prints these.
    x = np.array([10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5], dtype=float)
    y = np.array([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])
    found = line(x, y)
    assert found.slope == pytest.approx(0.5001, abs=1e-4)
    assert found.intercept == pytest.approx(3.0001, abs=1e-4)
    assert found.r2 == pytest.approx(0.6665, abs=1e-4)
    assert found.p == pytest.approx(0.00217, abs=1e-5)
    assert (found.low, found.high) == pytest.approx((0.2333, 0.7669), abs=1e-3)


def test_an_exact_line_is_certain_and_a_flat_one_is_none():
    x = np.arange(5.0)
    assert line(x, 2 * x + 1).p == 0.0
    assert line(x, 2 * x + 1).r2 == pytest.approx(1.0)
    flat = line(x, np.full(5, 3.0))
    assert (flat.slope, flat.p, flat.r2) == (0.0, 1.0, 0.0)


def test_a_slope_of_pure_chance_is_as_rarely_significant_as_it_claims():
    x = np.arange(30.0)
    fooled = sum(line(x, noise(30, seed)).p < 0.05 for seed in range(200))
    assert 2 <= fooled <= 22  # 10 expected; beyond four standard deviations it is wrong


def test_residuals_that_follow_each_other_are_noticed():
    x = np.arange(200.0)
    assert line(x, np.cumsum(noise(200))).correlation > 0.5
    assert abs(line(x, noise(200)).correlation) < 0.25


def test_a_cycle_is_found_with_its_pattern_and_its_strength():
    pattern = np.array([5.0, 0.0, -3.0, -2.0])
    y = 0.5 * np.arange(40) + np.tile(pattern, 10)
    found = cycle(y, 4)
    assert found.pattern == pytest.approx(pattern)
    assert found.strength == pytest.approx(1.0)
    assert np.isnan(found.trend[:2]).all()
    assert found.trend[2:-2] == pytest.approx(0.5 * np.arange(40)[2:-2])
    assert cycle(noise(200), 4).strength < 0.2


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.integers(1, 50))
def test_a_moving_average_is_the_mean_of_the_last_points(values, window):
    y = np.array(values)
    expected = [y[max(0, end - window) : end].mean() for end in range(1, len(y) + 1)]
    assert moving_average(y, window) == pytest.approx(expected, abs=1e-6)


def test_jumps_are_found_where_they_are():
    y = np.concatenate([np.full(40, 10.0), np.full(40, 14.0), np.full(40, 9.0)]) + noise(120)
    found = jumps(y)
    assert [round(jump.index, -1) for jump in found] == [40, 80]
    assert found[0].before == pytest.approx(10, abs=0.6)
    assert found[0].after == pytest.approx(14, abs=0.6)
    assert found[0].after == found[1].before


def test_noise_has_hardly_ever_a_jump():
    assert sum(bool(jumps(noise(100, seed))) for seed in range(100)) <= 2


def test_a_step_without_noise_is_one_jump_and_a_flat_series_none():
    assert [jump.index for jump in jumps(np.array([1.0] * 5 + [2.0] * 5))] == [5]
    assert jumps(np.full(20, 0.1)) == []
    assert jumps(np.array([1.0, 9.0])) == []
