"""The hosts of one group: more and fewer of them, the ward, and groups that are given up."""

import asyncio
from functools import partial

import pytest

from actors import crew as crew_module
from actors import fleet as fleet_module
from actors.fleet import Rules
from actors.pool import PoolSize
from cartrita.clock import ManualClock
from cartrita.errors import NotFound
from tests.support.yard import OWN, agent, open_yard

LIGHT = agent("Light", concurrency=2, intensity=1, pool=(1, 1))
HEAVY = agent("Heavy", needs=OWN, pool=(1, 3), concurrency=2, intensity=0)
SPARED = agent("Spared", needs=OWN, pool=(1, 3), concurrency=2)
RESTING = agent("Resting", needs=OWN, pool=(0, 1), concurrency=1)
BRISK = Rules(shrink_after=5.0)


@pytest.fixture
async def yard(monkeypatch):
    """Give a yard whose time stands still until the test moves it."""
    monkeypatch.setattr(fleet_module, "TICK", 0.002)
    monkeypatch.setattr(crew_module, "PoolSize", partial(PoolSize, up_after=1))
    async with open_yard() as one:
        one.clock = ManualClock()
        yield one


async def heavy(yard, hosts=1, rules=BRISK):
    """Start the heavy agent and have it grow to so many hosts."""
    await yard.start(HEAVY, rules=rules)
    await yard.ready("heavy")
    for _ in range(2, hosts + 1):
        yard.services["heavy"], yard.waits["heavy"] = 10.0, 100
        await grown(yard, "heavy", len(yard.slots("heavy")) + 1)
    yard.waits.clear()
    return yard.fleet.crews["heavy"]


async def grown(yard, group, hosts):
    """Let time pass until a group has so many hosts."""

    def enough():
        yard.clock.advance(0.2)
        return sum(slot.host is not None for slot in yard.slots(group)) == hosts

    await yard.until(enough)


async def killed_at_work(yard, name):
    """Give a host something to do and kill it; returns it once it is gone."""
    await yard.ready(name)
    host = yard.fleet.acquire(name)
    await yard.hosts.started[-1].die()
    await yard.until(host.gone.done)
    yard.fleet.release(host, name)
    return host


class TestSize:
    async def test_it_grows_to_its_bound_while_much_waits_and_no_further(self, yard):
        crew = await heavy(yard)
        yard.services["heavy"], yard.waits["heavy"] = 10.0, 100
        await grown(yard, "heavy", 3)
        yard.clock.advance(10)
        await yard.until(lambda: crew.wanted(yard.clock.monotonic(), yard.fleet._load(crew)) == 3)
        assert sorted(yard.alive) == ["heavy.0.1", "heavy.1.1", "heavy.2.1"]
        assert yard.fleet.capacity("heavy") == 6

    async def test_it_shrinks_to_what_it_needs_and_loses_no_work(self, yard):
        crew = await heavy(yard, hosts=2)
        taken = [yard.fleet.acquire("heavy") for _ in range(2)]
        assert taken[0] is not taken[1]  # each goes where least is done
        for host in taken:
            assert host.residents == 1
        await yard.until(lambda: yard.clock.advance(1) or len(crew.slots) == 1)
        assert len(yard.alive) == 2  # one of them drains
        (leaving,) = [host for host in taken if host.draining]
        (stays,) = [host for host in taken if not host.draining]
        assert yard.fleet.acquire("heavy") is stays
        assert not leaving.gone.done()
        assert {row["state"] for row in yard.fleet.snapshot()} == {"up", "draining"}
        yard.fleet.release(leaving, "heavy")
        await yard.until(lambda: len(yard.alive) == 1)
        assert leaving.planned
        await yard.until(lambda: len(yard.fleet.snapshot()) == 1)

    async def test_a_host_too_many_is_kept_for_as_long_as_the_rules_say(self, yard):
        crew = await heavy(yard, hosts=2, rules=Rules(shrink_after=100.0))
        began = yard.clock.monotonic()
        await yard.until(lambda: yard.clock.advance(1) or len(crew.slots) == 1)
        assert yard.clock.monotonic() - began > 95  # it was idle a moment before

    async def test_one_that_rests_wakes_and_rests_again(self, yard):
        await yard.start(RESTING, rules=BRISK)
        yard.waits["resting"] = 1
        await yard.ready("resting")  # the fleet saw it by itself
        yard.waits.clear()
        await yard.until(lambda: yard.clock.advance(1) or not yard.alive)
        assert yard.fleet.ready() == []
        yard.fleet.wake("resting")
        await yard.ready("resting")

    async def test_a_number_is_given_again_once_it_is_free(self, yard):
        crew = await heavy(yard, hosts=2)
        await yard.until(lambda: yard.clock.advance(1) or len(yard.alive) == 1)
        await yard.until(lambda: not crew._leaving)
        yard.services["heavy"], yard.waits["heavy"] = 10.0, 100
        await grown(yard, "heavy", 2)
        assert len({slot.name for slot in crew.slots}) == 2

    async def test_a_host_that_drains_as_the_fleet_stops_is_ended_too(self, yard):
        crew = await heavy(yard, hosts=2)
        for _ in range(2):
            yard.fleet.acquire("heavy")
        await yard.until(lambda: yard.clock.advance(1) or len(crew.slots) == 1)
        await yard.fleet.stop()
        assert yard.alive == []


class TestSpare:
    async def test_after_a_crash_there_is_one_host_more_for_a_while(self, yard):
        await yard.start(SPARED)
        await yard.ready("spared")
        await yard.hosts.started[0].die()
        await yard.until(lambda: len(yard.alive) == 2)
        yard.clock.advance(crew_module.SPARE)
        await yard.until(lambda: yard.clock.advance(1) or len(yard.alive) == 1)

    async def test_it_comes_after_the_host_that_died_is_up_again(self, yard):
        await yard.start(SPARED)
        await yard.ready("spared")
        blocked = asyncio.get_running_loop().create_future()
        yard.hosts.troubles.append(blocked)
        await yard.hosts.started[0].die()
        await yard.until(lambda: not yard.hosts.troubles)
        await yard.ticks()
        assert len(yard.slots("spared")) == 1
        blocked.set_result(None)
        await yard.until(lambda: len(yard.alive) == 2)

    @pytest.mark.parametrize("pool", [(0, 3), (1, 1)])
    async def test_a_group_that_rests_or_may_have_no_more_has_none(self, yard, pool):
        await yard.start(agent("Heavy", needs=OWN, pool=pool, concurrency=2))
        yard.fleet.wake("heavy")
        await yard.ready("heavy")
        await yard.hosts.started[0].die()
        await yard.until(lambda: len(yard.hosts.started) == 2)
        await yard.ready("heavy")
        await yard.ticks()
        assert len(yard.slots("heavy")) == 1


class TestCrowd:
    @pytest.mark.parametrize(("seconds", "crowd"), [(0.0, 8), (0.1, 10), (60.0, 8), (0.001, 64)])
    async def test_after_a_crash_fewer_run_at_a_time_for_as_long_as_it_counts(
        self, yard, seconds, crowd
    ):
        yard.services["spared"] = seconds
        await yard.start(agent("Spared", needs=OWN, concurrency=64))
        await yard.ready("spared")
        crew = yard.fleet.crews["spared"]
        await yard.hosts.started[0].die()
        await yard.until(lambda: len(yard.hosts.started) >= 2)
        assert crew.places == {"spared": crowd}
        yard.clock.advance(10.0)
        await yard.until(lambda: crew.places == {"spared": 64})

    async def test_an_agent_with_few_places_keeps_them(self, yard):
        await yard.start(SPARED)
        await yard.ready("spared")
        await yard.hosts.started[0].die()
        await yard.until(lambda: len(yard.hosts.started) >= 2)
        assert yard.fleet.crews["spared"].places == {"spared": 2}


class TestPreference:
    async def test_a_host_that_is_named_is_taken_while_it_has_a_place(self, yard):
        await heavy(yard, hosts=2)
        fleet = yard.fleet
        wanted = [fleet.acquire("heavy", "system/0.heavy.1") for _ in range(2)]
        assert {host.spec.host_id for host in wanted} == {"system/0.heavy.1.1"}
        assert fleet.acquire("heavy", "system/0.heavy.1").spec.host_id == "system/0.heavy.0.1"

    async def test_a_host_that_is_not_there_is_no_reason_to_wait(self, yard):
        await heavy(yard)
        assert yard.fleet.acquire("heavy", "system/0.heavy.7") is yard.host("heavy")


class TestWard:
    async def test_suspects_have_it_for_themselves_one_at_a_time(self, yard):
        fleet = await yard.start(LIGHT)
        await yard.ready("light")
        assert fleet.suspect() is None
        fleet.add_suspect("first", "light")
        fleet.add_suspect("second", "light")
        crew = fleet.crew("light")
        await yard.until(crew.free_ward)
        task_id, host = fleet.suspect()
        fleet.confine(host, "light", task_id)
        assert (task_id, host.solo, host.suspect) == ("first", True, "first")
        assert fleet.suspect() is None
        assert fleet.acquire("light") is yard.host("shared")  # the others go on as ever
        fleet.release(host, "light")
        assert fleet.suspect() == ("second", host)

    async def test_a_suspect_may_be_taken_out_of_the_line(self, yard):
        fleet = await yard.start(LIGHT)
        fleet.add_suspect("first", "light")
        assert fleet.drop_suspect("first", "light")
        assert not fleet.drop_suspect("first", "light")
        assert not fleet.drop_suspect("first", "nobody")

    async def test_it_is_ended_when_it_was_of_no_use_for_a_while(self, yard):
        fleet = await yard.start(LIGHT)
        fleet.add_suspect("first", "light")
        crew = fleet.crew("light")
        await yard.until(crew.free_ward)
        yard.clock.advance(crew_module.WARD_IDLE + 1)
        task_id, host = fleet.suspect()
        fleet.confine(host, "light", task_id)
        yard.clock.advance(crew_module.WARD_IDLE + 1)
        assert crew.ward is not None  # there is somebody on it
        fleet.release(host, "light")
        await yard.until(lambda: yard.clock.advance(1) or crew.ward is None)
        await yard.until(lambda: yard.alive == ["shared.0.1"])

    async def test_one_suspect_s_kills_do_not_give_it_up(self, yard):
        fleet = await yard.start(LIGHT)
        crew = fleet.crew("light")
        for kills in range(1, 4):  # its intensity is 1
            fleet.add_suspect("guilty", "light")
            await yard.until(crew.free_ward)
            task_id, host = fleet.suspect()
            fleet.confine(host, "light", task_id)
            await yard.hosts.started[-1].die()
            await yard.until(host.gone.done)
            fleet.release(host, "light")
            assert crew.ward.window.restarts == kills
        assert yard.downs == []
        await yard.until(crew.free_ward)

    async def test_many_killers_in_a_row_give_the_group_up_unless_its_work_goes_well_between(
        self, yard
    ):
        fleet = await yard.start(LIGHT)
        crew = fleet.crew("light")

        async def killed(task_id):
            fleet.add_suspect(task_id, "light")
            await yard.until(crew.free_ward)
            _, host = fleet.suspect()
            fleet.confine(host, "light", task_id)
            await yard.hosts.started[-1].die()
            await yard.until(host.gone.done)
            fleet.release(host, "light")

        await killed("first")
        fleet.worked("light")
        await killed("second")
        assert yard.downs == []
        await killed("third")
        assert yard.downs == ["shared"]
        assert fleet.troubles() == [{"group": "shared", "state": "down"}]


class TestQuarantine:
    @pytest.fixture
    async def quarantined(self, yard):
        """Give the crew of an agent whose hosts died too often under work."""
        await yard.start(LIGHT)
        for _ in range(2):
            await killed_at_work(yard, "light")
        await yard.until(lambda: yard.quarantines == ["shared"])
        return yard.fleet.crew("light")

    async def test_everything_runs_in_the_ward_one_at_a_time(self, yard, quarantined):
        fleet = yard.fleet
        await yard.ready("light")
        host = fleet.acquire("light")
        assert (host.solo, fleet.ready(), fleet.capacity("light")) == (True, [], 1)
        fleet.release(host, "light")
        assert fleet.ready() == ["light"]
        assert not fleet.given_up("light")
        assert yard.downs == []
        assert fleet.troubles() == [{"group": "shared", "state": "quarantined"}]
        assert [row["state"] for row in fleet.snapshot()] == ["quarantined", "up"]

    async def test_suspects_go_first(self, yard, quarantined):
        fleet = yard.fleet
        fleet.add_suspect("suspect", "light")
        await yard.until(quarantined.free_ward)
        assert fleet.ready() == []
        assert fleet.suspect()[0] == "suspect"

    async def test_after_a_while_its_own_hosts_get_another_chance(self, yard, quarantined):
        await yard.ready("light")
        yard.clock.advance(crew_module.QUARANTINE)
        await yard.until(lambda: yard.host("shared"))
        assert not yard.fleet.acquire("light").solo
        assert yard.fleet.troubles() == []

    async def test_when_the_ward_cannot_be_started_either_the_group_is_down(self, yard):
        await yard.start(LIGHT)
        await killed_at_work(yard, "light")
        await yard.ready("light")
        yard.hosts.troubles = [RuntimeError("no start")] * 2
        await killed_at_work(yard, "light")
        await yard.until(lambda: yard.downs == ["shared"])
        assert yard.fleet.given_up("light")

    async def test_hosts_that_die_idle_are_down_and_not_quarantined(self, yard):
        fleet = await yard.start(LIGHT)
        for _ in range(2):
            await yard.ready("light")
            await yard.hosts.started[-1].die()
        await yard.until(lambda: fleet.given_up("light"))
        assert (yard.downs, yard.quarantines) == (["shared"], [])
        assert fleet.troubles() == [{"group": "shared", "state": "down"}]

    async def test_one_of_several_hosts_is_given_up_alone_and_tried_again_later(
        self, yard, monkeypatch
    ):
        monkeypatch.setattr(crew_module, "QUARANTINE", 1.0)
        crew = await heavy(yard, hosts=2)  # no restart is allowed
        yard.services["heavy"], yard.waits["heavy"] = 10.0, 4
        await yard.hosts.started[1].die()
        await yard.until(lambda: not crew.slots[1].active)
        assert (yard.downs, yard.quarantines) == ([], [])
        assert yard.fleet.ready() == ["heavy"]
        await yard.until(lambda: yard.clock.advance(1) or crew.slots[1].host)


class TestOrders:
    async def test_a_group_that_is_down_is_tried_again_when_somebody_says_so(self, yard):
        fleet = await yard.start(LIGHT)
        for _ in range(2):
            await yard.ready("light")
            await yard.hosts.started[-1].die()
        await yard.until(lambda: fleet.given_up("light"))
        fleet.revive("shared")
        await yard.ready("light")
        assert fleet.troubles() == []

    async def test_a_group_that_is_held_stays_down_and_is_no_trouble(self, yard):
        fleet = await yard.start(LIGHT, HEAVY)
        await yard.ready("light", "heavy")
        await fleet.hold(fleet.crew("light"), 0.0)
        assert yard.downs == ["shared"]
        yard.clock.advance(1_000)
        yard.waits["light"] = 5
        fleet.wake("light")
        assert yard.alive == ["heavy.0.1"]
        assert fleet.given_up("light")
        assert fleet.troubles() == []  # nobody is to mend what was ordered
        fleet.revive("shared")
        await fleet.restart(None, 0.0)
        assert fleet.given_up("light")
        assert await fleet.restart("light", 0.0) == ["system/0.shared.0"]
        await yard.ready("light")

    async def test_a_group_that_is_held_while_it_rests_wakes_after_a_restart(self, yard):
        fleet = await yard.start(RESTING)
        await fleet.hold(fleet.crew("resting"), 0.0)
        assert await fleet.restart("resting", 0.0) == []
        assert not fleet.given_up("resting")
        fleet.wake("resting")
        await yard.ready("resting")

    @pytest.mark.parametrize("name", ["system/0.shared.0", "shared", "light"])
    async def test_a_host_is_restarted_by_its_name_its_group_s_or_its_agent_s(self, yard, name):
        fleet = await yard.start(LIGHT, HEAVY)
        await yard.ready("light", "heavy")
        assert await fleet.restart(name, 0.0) == ["system/0.shared.0"]
        await yard.until(lambda: sorted(yard.alive) == ["heavy.0.1", "shared.0.2"])
        assert yard.row("shared.0")["restarts"] == 0

    async def test_all_are_restarted_when_none_is_named(self, yard):
        fleet = await yard.start(LIGHT, HEAVY)
        await yard.ready("light", "heavy")
        assert await fleet.restart(None, 0.0) == ["system/0.shared.0", "system/0.heavy.0"]
        await yard.until(lambda: sorted(yard.alive) == ["heavy.0.2", "shared.0.2"])

    async def test_what_is_not_there_cannot_be_restarted_or_revived(self, yard):
        fleet = await yard.start(LIGHT)
        with pytest.raises(NotFound, match="'poet'"):
            await fleet.restart("poet", 0.0)
        with pytest.raises(NotFound, match="'poet'"):
            fleet.revive("poet")
