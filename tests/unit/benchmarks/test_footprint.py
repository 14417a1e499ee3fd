"""When the load test calls memory flat."""

import pytest

from benchmarks.footprint import SPAN, grown, too_much


def series(**per_second):
    """Return ten minutes of sizes of 100 MB each, which grow so fast from their middle on."""
    return [
        {"at_s": at, **{key: 100 + rate * max(at - 300, 0) for key, rate in per_second.items()}}
        for at in range(0, 600, 10)
    ]


def test_growth_is_told_for_ten_minutes_and_of_the_second_half_alone():
    rows = series(own_mb=0.1)
    rows[0]["own_mb"] = 5000
    growth = grown(rows)["own_mb"]
    assert growth["mb"] == pytest.approx(0.1 * SPAN, rel=0.01)
    assert growth["percent"] == pytest.approx(100 * 60 / 114.5, rel=0.01)


def test_what_stays_as_it_is_or_shrinks_is_flat():
    assert not too_much(grown(series(own_mb=0.0, own_mb_edge=-1.0)))


def test_one_kind_of_process_that_grows_is_told_though_the_whole_hardly_does():
    growths = grown(series(own_mb=0.0, own_mb_edge=0.05, own_mb_valkey=0.001))
    assert too_much(growths) == ["own_mb_edge"]


def test_a_small_process_may_grow_by_a_few_megabytes():
    rows = [{"at_s": at, "own_mb_valkey": 8 + at / 200} for at in range(0, 600, 10)]
    assert not too_much(grown(rows))


def test_what_exists_for_a_moment_only_does_not_grow():
    rows = series(own_mb=0.0)
    rows[-1]["own_mb_gone"] = 7.0
    assert grown(rows)["own_mb_gone"]["mb"] == 0
