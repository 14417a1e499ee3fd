"""When the load test calls memory flat."""

import pytest

from benchmarks.footprint import SPAN, Sample, Size, growth, too_much

KINDS = ["supervisors", "workers", "edge"]


def samples(*per_second, size=100.0):
    """Return ten minutes of processes, which grow so many MB a second from their middle on."""
    return [
        Sample(at, {pid: (KINDS[pid], own(size + rate * max(at - 300, 0)))
                    for pid, rate in enumerate(per_second)})
        for at in range(0, 600, 10)
    ]  # fmt: skip


def own(mb):
    return Size(pss=2 * mb, own=mb, rss=3 * mb)


def test_growth_is_told_for_ten_minutes_and_of_the_second_half_alone():
    seen = samples(0.1)
    seen[0].sizes[0] = ("supervisors", own(5000))
    grown = growth(seen)["supervisors"]
    assert grown["mb"] == pytest.approx(0.1 * SPAN, rel=0.01)
    assert grown["percent"] == pytest.approx(100 * 60 / 114.5, rel=0.01)


def test_what_stays_as_it_is_or_shrinks_is_flat():
    assert not too_much(growth(samples(0.0, -0.1)))


def test_one_kind_of_process_that_grows_is_told_though_the_whole_hardly_does():
    assert too_much(growth(samples(0.03, -0.03))) == ["supervisors"]


def test_a_whole_that_grows_is_told_though_each_part_hardly_does():
    assert too_much(growth(samples(0.015, 0.015))) == ["all"]


def test_a_small_process_may_grow_by_a_few_megabytes():
    assert not too_much(growth(samples(0.005, size=5.0)))


def test_a_host_more_is_no_leak():
    seen = samples(0.0)
    for late in seen[45:]:
        late.sizes[1] = ("workers", own(90))
    assert not too_much(growth(seen))
    assert seen[-1].row()["own_mb"] == 190
    assert seen[-1].row()["processes_workers"] == 1


def test_too_few_samples_tell_nothing():
    assert growth(samples(1.0)[:4]) == {}
