"""How long tasks take, and how long a new one will wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.forecast import KEYS, Forecast

seconds = st.floats(0, 1e6)


def after(measured, key="echo", **options):
    forecast = Forecast(**options)
    for one in measured:
        forecast.ended(key, one)
    return forecast


def test_what_never_ended_is_unknown():
    forecast = Forecast()
    assert (forecast.service("echo"), forecast.mean()) == (0.0, 0.0)


def test_the_first_measurement_is_believed():
    forecast = after([3.0])
    assert (forecast.service("echo"), forecast.mean()) == (3.0, 3.0)


def test_the_first_ten_count_alike():
    forecast = after([60.0] + [2.0] * 9)
    assert forecast.service("echo") == pytest.approx(7.8)


def test_a_slow_first_task_is_soon_forgotten():
    assert after([60.0] + [1.0] * 60).service("echo") < 1.1


@pytest.mark.parametrize(("alpha", "expected"), [(0.1, 1.1), (0.5, 1.5), (1.0, 2.0)])
def test_later_ones_weigh_alpha(alpha, expected):
    assert after([1.0] * 100 + [2.0], alpha=alpha).service("echo") == pytest.approx(expected)


def test_types_are_known_apart_and_together():
    forecast = Forecast()
    forecast.ended("short", 1.0)
    forecast.ended("long", 3.0)
    assert (forecast.service("short"), forecast.service("long")) == (1.0, 3.0)
    assert forecast.mean() == 2.0


@given(st.lists(seconds, min_size=1))
def test_the_average_is_never_outside_what_was_measured(measured):
    forecast = after(measured)
    for average in (forecast.service("echo"), forecast.mean()):
        assert min(measured) * (1 - 1e-9) <= average <= max(measured) * (1 + 1e-9)


@given(st.lists(seconds, max_size=30), seconds)
def test_a_change_is_learned_whatever_was_before(before, now):
    forecast = after([*before, *[now] * 400])
    assert forecast.service("echo") == pytest.approx(now, abs=1e-6)


def test_only_so_many_types_are_remembered():
    forecast = Forecast()
    for number in range(10 * KEYS):
        forecast.ended(f"task{number}", 1.0)
    known = [number for number in range(10 * KEYS) if forecast.service(f"task{number}")]
    assert known == list(range(9 * KEYS, 10 * KEYS))


def test_the_type_that_ended_longest_ago_is_forgotten_first():
    forecast = after([1.0], key="echo")
    for number in range(2 * KEYS):
        forecast.ended("echo", 1.0)
        forecast.ended(f"task{number}", 1.0)
    assert forecast.service("echo") == 1.0
    assert forecast.service(f"task{KEYS}") == 0.0


def test_work_ahead_is_shared_by_the_slots():
    assert Forecast().wait(12.0, 4) == 3.0
    assert Forecast().wait(0.0, 4) == 0.0


def test_without_slots_one_is_on_its_way():
    assert Forecast().wait(12.0, 0) == 12.0


@pytest.mark.parametrize("alpha", [0, -1, 1.5])
def test_a_weight_outside_its_range_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha"):
        Forecast(alpha)
