"""The plan of a chaos run."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.chaos.plan import SINGLE, Action, Aim, Kind, kinds, plan

some = st.lists(st.sampled_from([Kind(name) for name in SINGLE]), unique=True).map(tuple)
aims = st.builds(
    Aim,
    kills=some,
    pauses=some,
    tasks=st.integers(1, 300),
    rate=st.floats(0.5, 500),
    every=st.floats(0.1, 30),
    streams=st.integers(0, 400),
)
seeds = st.integers()


@given(aims, seeds)
def test_a_seed_is_one_plan(aim, seed):
    assert plan(aim, seed) == plan(replace(aim), seed)


@given(aims)
def test_another_seed_is_another_plan(aim):
    assert plan(aim, 1).arrivals != plan(aim, 2).arrivals


@given(aims, seeds)
def test_what_is_broken_does_not_change_when_tasks_come(aim, seed):
    quiet = replace(aim, kills=(), pauses=())
    assert plan(quiet, seed).arrivals == plan(aim, seed).arrivals
    assert plan(quiet, seed).faults == ()


@given(aims, seeds)
def test_every_task_comes_once_and_in_order(aim, seed):
    arrivals = plan(aim, seed).arrivals
    assert len(arrivals) == aim.tasks
    assert all(0 < earlier <= later for earlier, later in pairwise([*arrivals, arrivals[-1]]))


@given(aims, seeds)
def test_every_kind_is_hit_under_load_and_all_equally_often(aim, seed):
    made = plan(aim, seed)
    hits = Counter((fault.kind, fault.action) for fault in made.faults)
    wanted = [(kind, Action.KILL) for kind in aim.kills]
    wanted += [(kind, Action.PAUSE) for kind in aim.pauses]
    assert set(hits) == set(wanted)
    assert not hits or max(hits.values()) - min(hits.values()) <= 1
    times = [fault.at for fault in made.faults]
    assert times == sorted(times)
    assert all(0 < at <= made.arrivals[-1] for at in times)
    assert all(0 <= fault.chance < 1 for fault in made.faults)


@given(aims, seeds)
def test_so_many_are_followed_as_were_asked_for_or_all(aim, seed):
    followed = plan(aim, seed).followed
    assert len(followed) == min(aim.streams, aim.tasks)
    assert followed <= set(range(aim.tasks))


@given(aims, seeds)
def test_a_power_cut_comes_once_in_the_middle_and_alone(aim, seed):
    made = plan(replace(aim, power_cut=True), seed)
    (cut,) = made.faults
    assert (cut.kind, cut.action) == (Kind.POWER, Action.KILL)
    assert cut.at == made.arrivals[-1] / 2


def test_faults_come_about_as_often_as_asked():
    made = plan(Aim(kills=(Kind.WORKER,), tasks=2000, rate=100, every=1.0), 7)
    assert 15 <= len(made.faults) <= 25


def test_names_are_read_once_each():
    assert kinds(["worker", "gcs", "worker"]) == (Kind.WORKER, Kind.GCS)
    assert kinds([]) == ()


@pytest.mark.parametrize("name", ["power", "sun", "Worker"])
def test_what_cannot_be_hit_alone_is_refused_by_name(name):
    with pytest.raises(ValueError, match=name):
        kinds(["worker", name])
