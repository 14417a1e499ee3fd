"""When an instance counts as whole again."""

import pytest

from cartrita.chaos.strike import host_of, pids, settled, upper_up


def tree(orchestrator="up", supervisor="up", host="up"):
    hosts = [{"id": "h0", "state": host, "pid": 3}, {"id": "h1", "state": "up", "pid": 4}]
    shard = {"state": supervisor, "pid": 2, "hosts": hosts}
    return {"orchestrator": {"state": orchestrator, "pid": 1}, "supervisors": [shard]}


def test_a_tree_whose_upper_tiers_are_up_is_up():
    assert upper_up(tree())
    assert upper_up(tree(host="starting"))


@pytest.mark.parametrize("tier", ["orchestrator", "supervisor"])
@pytest.mark.parametrize("state", ["starting", "down", "draining"])
def test_a_tree_of_which_a_tier_is_away_is_not(tier, state):
    assert not upper_up(tree(**{tier: state}))


def test_a_tree_that_nobody_could_tell_is_not_up():
    assert not upper_up({})


def test_a_host_that_only_comes_is_missing_and_one_that_nobody_needs_is_not():
    assert not settled(tree(host="starting"), None)
    assert settled(tree(host="down"), None)
    assert settled(tree(), None)


def test_a_host_is_not_missing_because_another_comes():
    assert not settled(tree(host="starting"), "h0")
    assert settled(tree(host="starting"), "h1")
    assert settled(tree(host="starting"), "which is no more")


def test_a_worker_has_a_place_and_others_have_none():
    assert host_of(tree(), 4) == "h1"
    assert host_of(tree(), 2) is None
    assert host_of({}, 4) is None


def test_a_tree_names_its_processes():
    assert pids(tree()) == {1, 2, 3, 4}
    assert pids({"orchestrator": {"state": "down"}, "supervisors": []}) == set()
