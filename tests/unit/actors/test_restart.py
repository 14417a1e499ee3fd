"""When a child that died is started again."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.restart import FIRST_DELAY, JITTER, LONGEST_DELAY, RestartPolicy, RestartWindow

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
