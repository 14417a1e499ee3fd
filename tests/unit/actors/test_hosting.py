"""Which agents share a process, and what shards are called."""

import pytest

from actors.hosting import RouteTable, groups_of, shard_name, team_of
from cartrita.context import Context
from cartrita.declare import TEAMS, Agent, Needs, Params, Result, task


class Nothing(Params):
    """Takes nothing."""


class Light(Agent, team="system"):
    """Is light."""

    @task("light")
    async def work(self, params: Nothing, ctx: Context) -> Result:
        """Work."""
        return Result()


class Feather(Light, team="system"):
    """Is lighter."""

    @task("feather")
    async def work(self, params: Nothing, ctx: Context) -> Result:
        """Work."""
        return Result()


class Heavy(Agent, team="system", needs=Needs(isolation="own")):
    """Is heavy."""

    @task("heavy")
    async def work(self, params: Nothing, ctx: Context) -> Result:
        """Work."""
        return Result()


def test_light_agents_share_a_host_and_heavy_ones_have_their_own():
    groups = groups_of([Light.spec, Heavy.spec, Feather.spec])
    assert [(group.name, group.names) for group in groups] == [
        ("shared", ("light", "feather")),
        ("heavy", ("heavy",)),
    ]


def test_without_light_agents_nothing_is_shared():
    assert [group.name for group in groups_of([Heavy.spec])] == ["heavy"]
    assert groups_of([]) == []


@pytest.mark.parametrize("team", TEAMS)
def test_a_shard_s_name_tells_its_team(team):
    assert shard_name(team, 3) == f"{team}/3"
    assert team_of(shard_name(team, 3)) == team


@pytest.mark.parametrize("name", ["", "system", "football/0", "systems/0"])
def test_what_is_no_shard_is_refused_by_name(name):
    with pytest.raises(ValueError, match=repr(name)):
        team_of(name)


def test_a_route_table_travels_whole_and_hides_its_token_from_logs():
    table = RouteTable(3, "b", {"system": 2}, {"system/0": "unix:/s"}, "very secret")
    assert RouteTable(**table.to_wire()) == table
    assert "very secret" not in repr(table)
