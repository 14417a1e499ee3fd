"""The hosts of a supervisor: started, watched, restarted, given up, ended together or alone."""

import asyncio

import pytest

from actors import slot as slot_module
from actors.fleet import Rules
from cartrita.declare import Needs
from cartrita.errors import ChannelLost, ConfigurationInvalid
from cartrita.telemetry.metrics import REGISTRY
from tests.support.yard import OWN, agent, open_yard

LIGHT = agent("Light", concurrency=2)
FEATHER = agent("Feather", concurrency=1, needs=Needs(cpus=0.5, memory_mb=10))
HEAVY = agent("Heavy", needs=OWN)
RESTING = agent("Resting", needs=OWN, pool=(0, 1))
ONCE = agent("Once", needs=OWN, restart="temporary")


@pytest.fixture
async def yard():
    async with open_yard() as one:
        yield one


def health(name):
    return REGISTRY.get_sample_value("cartrita_mcp_agent_health", {"agent_id": name})


class TestStart:
    async def test_light_agents_share_one_host_and_it_is_told_what_it_is(self, yard):
        await yard.start(LIGHT, FEATHER, HEAVY)
        await yard.ready("light", "feather", "heavy")
        specs = {host.spec.host_id: host.spec for host in yard.hosts.started}
        assert set(specs) == {"system/0.shared.0.1", "system/0.heavy.0.1"}
        shared = specs["system/0.shared.0.1"]
        assert (shared.agents, shared.epoch, shared.token) == (
            ("light", "feather"),
            3,
            "the token",
        )
        assert (shared.cpus, shared.memory_mb) == (0.5, 10)
        assert yard.offers == 2
        assert health("light") == 1.0

    async def test_an_agent_that_rests_is_started_when_it_is_first_wanted_and_once(self, yard):
        fleet = await yard.start(RESTING)
        assert (fleet.ready(), yard.row("resting.0")["state"]) == ([], "down")
        assert not fleet.given_up("resting")
        for _ in range(3):
            fleet.wake("resting")
        await yard.ready("resting")
        fleet.wake("resting")
        assert len(yard.hosts.started) == 1

    async def test_waking_those_who_are_awake_starts_nothing(self, yard):
        fleet = await yard.start(LIGHT)
        fleet.wake("light")
        await yard.ready("light")
        fleet.wake("light")
        assert len(yard.hosts.started) == 1

    @pytest.mark.parametrize(
        "trouble", [ConfigurationInvalid("no port"), OSError(), RuntimeError("a constructor's")]
    )
    async def test_a_host_that_does_not_start_is_tried_again(self, yard, trouble):
        yard.hosts.troubles = [trouble]
        await yard.start(LIGHT)
        await yard.ready("light")
        assert yard.row("shared.0")["restarts"] == 1

    async def test_a_host_that_never_starts_is_given_up(self, yard):
        yard.hosts.troubles = [RuntimeError("again")] * 10
        fleet = await yard.start(LIGHT, HEAVY)
        await yard.until(lambda: sorted(yard.downs) == ["heavy", "shared"])
        assert fleet.given_up("light")
        assert yard.row("shared.0")["state"] == "down"
        assert len(yard.hosts.log) == 6  # twice the first try and two restarts
        assert health("light") == 0.0

    async def test_a_host_that_takes_too_long_is_tried_again(self, yard, monkeypatch):
        monkeypatch.setattr(slot_module, "START_TIMEOUT", 0.02)
        yard.hosts.troubles = [asyncio.get_running_loop().create_future()]
        await yard.start(LIGHT)
        await yard.until(lambda: len(yard.hosts.log) == 2)
        monkeypatch.setattr(slot_module, "START_TIMEOUT", 20)
        await yard.ready("light")

    async def test_a_host_that_cannot_be_reached_is_ended(self, yard):
        yard.hosts.unreachable = True
        await yard.start(LIGHT)
        await yard.until(lambda: yard.downs == ["shared"])
        assert [host.died.done() for host in yard.hosts.started] == [True] * 3


class TestDeath:
    @pytest.mark.parametrize("known_by", ["its actor", "its channel"])
    async def test_a_host_that_dies_is_ended_for_certain_and_then_replaced(self, yard, known_by):
        fleet = await yard.start(LIGHT)
        await yard.ready("light")
        (first,) = yard.hosts.started
        if known_by == "its actor":
            first.died.set_result("kill -9")
        else:
            first.server.sessions.copy().pop().abort(ChannelLost("power cut"))
        await yard.until(lambda: len(yard.hosts.started) == 2 and fleet.ready())
        assert yard.hosts.log == [
            "start system/0.shared.0.1",
            "kill system/0.shared.0.1",
            "start system/0.shared.0.2",
        ]
        assert yard.row("shared.0")["restarts"] == 1
        assert yard.offers == 2

    async def test_a_host_whose_channel_is_lost_is_not_ready_from_that_moment_on(self, yard):
        """Before the slot's keeper had a turn to find out."""
        fleet = await yard.start(LIGHT)
        await yard.ready("light")
        fleet.acquire("light").channel.abort(ChannelLost("power cut"))
        assert fleet.ready() == []

    async def test_a_host_that_will_not_be_ended_is_replaced_all_the_same(self, yard):
        fleet = await yard.start(LIGHT)
        await yard.ready("light")
        yard.hosts.undying = True
        yard.hosts.started[0].died.set_result("so they say")
        await yard.until(lambda: len(yard.hosts.started) == 2 and fleet.ready())

    async def test_a_host_that_dies_too_often_is_given_up_and_its_neighbours_live(self, yard):
        fleet = await yard.start(LIGHT, HEAVY)
        await yard.ready("light", "heavy")
        for deaths in range(3):
            mine = f"system/0.shared.0.{deaths + 1}"
            await yard.until(lambda: (host := yard.host("shared")) and host.spec.host_id == mine)  # noqa: B023
            assert yard.row("shared.0")["restarts"] == deaths
            await yard.host("shared").handle.die()
        await yard.until(lambda: yard.downs == ["shared"])
        assert (fleet.given_up("light"), fleet.given_up("heavy")) == (True, False)
        assert fleet.ready() == ["heavy"]
        fleet.wake("light")
        assert yard.row("shared.0")["state"] == "down"

    async def test_a_temporary_host_is_not_started_again(self, yard):
        fleet = await yard.start(ONCE)
        await yard.ready("once")
        await yard.hosts.started[0].die()
        await yard.until(lambda: yard.downs == ["once"])
        assert fleet.given_up("once")
        assert len(yard.hosts.started) == 1

    async def test_an_agent_nobody_knows_counts_as_given_up(self, yard):
        fleet = await yard.start(LIGHT)
        assert fleet.given_up("stranger")

    async def test_a_host_that_drains_is_not_ready_from_that_moment_on(self, yard):
        fleet = await yard.start(LIGHT)
        await yard.ready("light")
        yard.host("shared").draining = True
        assert fleet.ready() == []


class TestPlaces:
    async def test_each_agent_has_its_own_number_of_places(self, yard):
        fleet = await yard.start(LIGHT, FEATHER)
        await yard.ready("light", "feather")
        host = fleet.acquire("feather")
        assert fleet.ready() == ["light"]
        fleet.acquire("light")
        fleet.acquire("light")
        assert fleet.ready() == []
        assert (host.in_flight, yard.row("shared.0")["inFlight"]) == (3, 3)
        fleet.release(host, "light")
        assert fleet.ready() == ["light"]
        fleet.release(host, "feather")
        assert fleet.ready() == ["light", "feather"]
        assert host.in_flight == 1

    async def test_taking_a_place_there_is_not_is_a_defect(self, yard):
        fleet = await yard.start(RESTING)
        with pytest.raises(AssertionError, match="resting"):
            fleet.acquire("resting")


class TestStop:
    async def test_the_last_host_is_ended_first_and_none_is_started_again(self, yard):
        fleet = await yard.start(LIGHT, HEAVY)
        await yard.ready("light", "heavy")
        yard.hosts.log.clear()
        await fleet.stop()
        first_kills = list(dict.fromkeys(yard.hosts.log))
        assert first_kills == ["kill system/0.heavy.0.1", "kill system/0.shared.0.1"]
        assert yard.downs == []
        assert fleet.ready() == []
        fleet.wake("light")
        assert len(yard.hosts.started) == 2

    async def test_a_host_that_is_just_starting_is_not_left_behind(self, yard):
        pending = asyncio.get_running_loop().create_future()
        yard.hosts.troubles = [pending]
        fleet = await yard.start(LIGHT)
        await yard.until(lambda: yard.hosts.log)
        await fleet.stop()
        assert pending.cancelled()
        assert all(host.died.done() for host in yard.hosts.started)

    @pytest.mark.parametrize("turns", range(12))
    async def test_whenever_it_is_stopped_nothing_runs_afterwards(self, yard, turns):
        """A cancellation that meets the end of a handshake must not be lost."""
        fleet = await yard.start(LIGHT)
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(fleet.stop(), 5)
        assert all(host.died.done() for host in yard.hosts.started)
        assert not any(slot.active for crew in fleet.crews.values() for slot in crew.slots)


class TestStrategy:
    NAMES = ("first", "second", "third")

    async def died(self, yard, strategy, index=1):
        """Return what the fleet did after one of three groups' hosts died."""
        agents = [agent(name.title(), needs=OWN) for name in self.NAMES]
        await yard.start(*agents, rules=Rules(strategy=strategy))
        await yard.ready(*self.NAMES)
        yard.hosts.log.clear()
        victim = yard.host(self.NAMES[index])
        await victim.handle.die()
        starts = 1 + {"one_for_one": 0, "rest_for_one": 2 - index, "one_for_all": 2}[strategy]
        await yard.until(lambda: len(yard.hosts.started) == 3 + starts)
        await yard.ready(*self.NAMES)
        done = [line.replace("system/0.", "").replace(".0.", ".") for line in yard.hosts.log]
        return list(dict.fromkeys(done))

    async def test_one_for_one_replaces_the_dead_alone(self, yard):
        assert await self.died(yard, "one_for_one") == ["kill second.1", "start second.2"]

    async def test_rest_for_one_replaces_those_started_after_it_too(self, yard):
        done = await self.died(yard, "rest_for_one", index=0)
        assert [line for line in done if "kill" in line] == [
            "kill first.1",
            "kill third.1",
            "kill second.1",
        ]
        assert {line for line in done if "start" in line} == {
            "start first.2",
            "start second.2",
            "start third.2",
        }

    async def test_rest_for_one_leaves_those_alone_that_were_started_before_it(self, yard):
        assert await self.died(yard, "rest_for_one", index=2) == ["kill third.1", "start third.2"]

    async def test_one_for_all_replaces_everybody_the_last_started_first(self, yard):
        done = await self.died(yard, "one_for_all")
        assert [line for line in done if "kill" in line] == [
            "kill second.1",
            "kill third.1",
            "kill first.1",
        ]
        assert sum("start" in line for line in done) == 3

    async def test_those_that_go_with_it_are_not_to_blame(self, yard):
        agents = [agent("Guilty", needs=OWN), agent("Innocent", needs=OWN, intensity=1)]
        await yard.start(*agents, rules=Rules(strategy="one_for_all"))
        for deaths in range(2):
            await yard.ready("guilty", "innocent")
            innocent = yard.fleet.acquire("innocent")
            await yard.host("guilty").handle.die()
            await yard.until(innocent.gone.done)
            assert innocent.planned
            assert yard.row("guilty.0")["restarts"] == deaths + 1
        assert yard.row("innocent.0")["restarts"] == 0

    async def test_the_death_of_one_that_is_given_up_concerns_nobody_else(self, yard):
        agents = [agent("Hopeless", needs=OWN, intensity=0), agent("Other", needs=OWN)]
        await yard.start(*agents, rules=Rules(strategy="one_for_all"))
        await yard.ready("hopeless", "other")
        await yard.host("hopeless").handle.die()
        await yard.until(lambda: yard.downs == ["hopeless"])
        assert yard.alive == ["other.0.1"]

    async def test_the_death_of_a_ward_concerns_nobody_else(self, yard):
        agents = [agent("Suspected", needs=OWN), agent("Other", needs=OWN)]
        fleet = await yard.start(*agents, rules=Rules(strategy="one_for_all"))
        await yard.ready("suspected", "other")
        fleet.add_suspect("guilty", "suspected")
        crew = fleet.crew("suspected")
        await yard.until(crew.free_ward)
        await crew.free_ward().handle.die()
        await yard.until(lambda: "suspected.ward.2" in yard.alive)
        assert {"suspected.0.1", "other.0.1"} <= set(yard.alive)
