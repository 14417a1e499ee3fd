"""When a child that died is started again, and who with it."""

import random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.restart import (
    FIRST_DELAY,
    JITTER,
    LONGEST_DELAY,
    RestartPolicy,
    RestartWindow,
    Strategy,
    affected,
)

TEAM = ("store", "reader", "writer", "judge")
schedules = st.lists(st.floats(0, 5), max_size=40)
policies = st.builds(
    RestartPolicy, intensity=st.integers(0, 6), period=st.floats(0.5, 20, allow_nan=False)
)


def window(seed=1, **policy):
    return RestartWindow(RestartPolicy(**policy), random.Random(seed))


def times_of(pauses):
    now = 1_000.0
    for pause in pauses:
        now += pause
        yield now


@given(policies, schedules, st.integers())
def test_a_child_is_restarted_at_most_so_often_in_any_period(policy, pauses, seed):
    watched = RestartWindow(policy, random.Random(seed))
    deaths, restarts = [], []
    for now in times_of(pauses):
        deaths.append(now)
        recent = [death for death in deaths if death > now - policy.period]
        delay = watched.died(now)
        assert (delay is None) == (len(recent) > policy.intensity)
        if delay is None:
            return
        restarts.append(now)
        assert len([at for at in restarts if at > now - policy.period]) <= policy.intensity
        assert watched.restarts == len(restarts)


def test_ten_thousand_schedules_agree_with_a_count():
    rng = random.Random(20_261_122)
    given_up = 0
    for _ in range(10_000):
        policy = RestartPolicy(intensity=rng.randrange(6), period=rng.uniform(1, 20))
        watched, deaths, now = RestartWindow(policy, rng), [], 0.0
        for _ in range(12):
            now += rng.expovariate(1 / 2)
            deaths.append(now)
            allowed = sum(death > now - policy.period for death in deaths) <= policy.intensity
            delay = watched.died(now)
            assert (delay is not None) == allowed
            if delay is None:
                given_up += 1
                break
            assert 0 <= delay <= LONGEST_DELAY * (1 + JITTER)
    assert 1_000 < given_up < 10_000


def test_five_in_ten_seconds_are_allowed_by_default():
    watched = window()
    assert [watched.died(float(now)) is not None for now in range(6)] == [True] * 5 + [False]
    assert watched.restarts == 5


def test_deaths_that_are_over_do_not_count():
    watched = window(intensity=1, period=10)
    assert watched.died(0.0) is not None
    assert watched.died(10.0) is not None
    assert watched.died(19.9) is None


def test_without_any_intensity_the_first_death_is_the_last():
    assert window(intensity=0).died(0.0) is None


@given(st.integers())
def test_pauses_begin_at_once_double_and_stay_below_a_bound(seed):
    watched = window(seed, intensity=20, period=1_000)
    delays = [watched.died(float(now)) for now in range(20)]
    assert delays[0] == 0.0
    for death, delay in enumerate(delays[1:]):
        middle = min(FIRST_DELAY * 2**death, LONGEST_DELAY)
        assert middle * (1 - JITTER) <= delay <= middle * (1 + JITTER)


def test_pauses_differ_so_that_many_do_not_come_back_at_once():
    def second(seed):
        watched = window(seed)
        watched.died(0.0)
        return watched.died(0.0)

    assert len({second(seed) for seed in range(20)}) == 20


@pytest.mark.parametrize(
    ("restart", "crashed", "again"),
    [
        ("permanent", True, True),
        ("permanent", False, True),
        ("transient", True, True),
        ("transient", False, False),
        ("temporary", True, False),
        ("temporary", False, False),
    ],
)
def test_who_is_restarted_depends_on_how_it_ended(restart, crashed, again):
    assert (window(restart=restart).died(0.0, crashed=crashed) is not None) == again


def test_a_child_that_dies_thousands_of_times_in_a_period_is_restarted_as_often():
    watched = window(intensity=3_000, period=1e9)
    delays = [watched.died(float(now)) for now in range(3_000)]
    assert all(delay <= LONGEST_DELAY * (1 + JITTER) for delay in delays)
    assert min(delays[10:]) >= LONGEST_DELAY * (1 - JITTER)


def test_after_a_quiet_period_the_pauses_begin_again():
    watched = window(intensity=9, period=10)
    assert [watched.died(0.0) for _ in range(4)][-1] > 0
    assert watched.died(10.0) == 0.0


def test_a_death_that_was_one_too_many_counts():
    watched = window(intensity=1, period=10)
    watched.died(0.0)
    assert watched.died(5.0) is None
    assert watched.died(14.0) is None


def test_an_operator_s_restart_clears_what_was_held_against_a_child():
    watched = window(intensity=2, period=10)
    assert [watched.died(0.0) is None for _ in range(3)] == [False, False, True]
    watched.reset()
    assert watched.died(0.0) == 0.0
    assert watched.died(0.0) > 0
    assert watched.died(0.0) is None
    assert watched.restarts == 4


def test_an_orderly_end_is_not_held_against_a_child():
    watched = window(restart="transient", intensity=1)
    for _ in range(10):
        assert watched.died(0.0, crashed=False) is None
    assert watched.died(0.0) == 0.0


@pytest.mark.parametrize(
    ("strategy", "dead", "others"),
    [
        ("one_for_one", "reader", ()),
        ("rest_for_one", "store", ("judge", "writer", "reader")),
        ("rest_for_one", "reader", ("judge", "writer")),
        ("rest_for_one", "judge", ()),
        ("one_for_all", "store", ("judge", "writer", "reader")),
        ("one_for_all", "reader", ("judge", "writer", "store")),
        ("one_for_all", "judge", ("writer", "reader", "store")),
    ],
)
def test_the_strategy_says_who_ends_with_a_child_the_last_started_first(strategy, dead, others):
    assert affected(strategy, TEAM, dead) == others


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_a_child_alone_in_its_team_affects_nobody(strategy):
    assert affected(strategy, ["store"], "store") == ()


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_only_children_of_the_team_can_die(strategy):
    with pytest.raises(ValueError, match="stranger"):
        affected(strategy, list(TEAM), "stranger")
