"""When an instance counts as whole again."""

import pytest

from cartrita.chaos.strike import all_up, pids


def tree(orchestrator="up", supervisor="up", host="up"):
    shard = {"state": supervisor, "pid": 2, "hosts": [{"state": host, "pid": 3}]}
    return {"orchestrator": {"state": orchestrator, "pid": 1}, "supervisors": [shard]}


def test_a_tree_whose_every_tier_is_up_is_whole():
    assert all_up(tree())


@pytest.mark.parametrize("tier", ["orchestrator", "supervisor"])
@pytest.mark.parametrize("state", ["starting", "down", "draining"])
def test_a_tree_of_which_a_tier_is_away_is_not(tier, state):
    assert not all_up(tree(**{tier: state}))


def test_a_host_that_only_comes_is_missing_and_one_that_nobody_needs_is_not():
    assert not all_up(tree(host="starting"))
    assert all_up(tree(host="down"))


def test_a_tree_that_nobody_could_tell_is_not_whole():
    assert not all_up({})


def test_a_tree_names_its_processes():
    assert pids(tree()) == {1, 2, 3}
    assert pids({"orchestrator": {"state": "down"}, "supervisors": []}) == set()
