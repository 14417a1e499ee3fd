"""Tests of cartrita/figures/series.py."""

import pytest

from cartrita.figures.series import SeriesError, points, read

DAYS = [{"day": f"2026-01-{day:02}", "sold": day * 2} for day in (3, 1, 2)]


def test_bare_numbers_keep_their_order_and_lose_their_gaps():
    series = read([3, None, 1.5])
    assert (series.y.tolist(), series.times, series.skipped) == ([3.0, 1.5], None, 1)
    assert series.days.tolist() == [0.0, 1.0]


def test_rows_are_put_in_the_order_of_their_times():
    series = read(DAYS)
    assert series.y.tolist() == [2.0, 4.0, 6.0]
    assert series.days.tolist() == [0.0, 1.0, 2.0]
    assert series.even


def test_a_period_is_measured_by_the_usual_step():
    assert points("2d", read(DAYS)) == 2
    assert points("1w", read(DAYS)) == 7
    assert points(5, read([1, 2])) == 5
    with pytest.raises(SeriesError, match="no times"):
        points("30d", read([1, 2, 3]))


def test_uneven_steps_are_noticed():
    rows = [{"t": day, "v": 1} for day in ("2026-01-01", "2026-01-02", "2026-01-09")]
    assert not read(rows).even


@pytest.mark.parametrize(
    ("rows", "columns", "says"),
    [
        ([{"a": 1, "b": 2}], {}, "'a', 'b'"),
        ([{"a": "x"}], {}, "none"),
        ([1e200, 2], {}, "too large"),
        ([{"a": 1, "b": "x"}], {"value_column": "b"}, "'b' holds no number"),
        ([{"a": 1, "b": "x"}], {"value_column": "a", "time_column": "b"}, "no date"),
    ],
)
def test_what_is_no_series_is_said(rows, columns, says):
    with pytest.raises(SeriesError, match=says):
        read(rows, **columns)
