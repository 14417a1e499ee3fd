"""Tier 0 keeps a supervisor running for every shard."""

import asyncio
from dataclasses import dataclass, field

import pytest

from actors import orchestrator as module
from actors.hosting import SupervisorInfo
from actors.orchestrator import Identity, Orchestrator, Plan
from cartrita.clock import SystemClock
from cartrita.declare import TEAMS
from cartrita.errors import ServiceUnavailable
from tests.support.processes import eventually

FIRST = ["intelligence/0", "multimodal/0", "system/0"]


class FakeSupervisor:
    """A supervisor that lives until the test ends it.

    Attributes:
        told: The commands it was given.
        drained: Done when it has nothing left to do.
        troubles: What it says is given up, when it says so.
    """

    def __init__(self, info, log):
        self.info, self._log = info, log
        loop = asyncio.get_running_loop()
        self.died, self.drained = loop.create_future(), loop.create_future()
        self.troubles, self.told = asyncio.Queue(), []

    async def stop(self, grace):
        self._log.append((self.info.shard, grace))
        if not self.died.done():
            self.died.set_result("stopped")
        for _ in range(5):  # the process may be gone before this is answered
            await asyncio.sleep(0)

    async def command(self, verb, part, arguments):
        self.told.append((verb, part))
        if verb == "DRAIN":
            await asyncio.shield(self.drained)
        return {"ok": True}

    async def trouble(self, known):
        return await self.troubles.get()


@dataclass
class FakeSupervisors:
    """Starts supervisors; `troubles` of a shard are raised one by one."""

    troubles: dict = field(default_factory=dict)
    running: dict = field(default_factory=dict)
    stopped: list = field(default_factory=list)

    async def ensure(self, shard):
        if self.troubles.get(shard):
            trouble = self.troubles[shard].pop(0)
            if isinstance(trouble, Exception):
                raise trouble
            await trouble
        epoch = self.running[shard].info.epoch + 1 if shard in self.running else 1
        info = SupervisorInfo(shard, f"unix:/{shard}.{epoch}", epoch, "b", 7, "n")
        self.running[shard] = FakeSupervisor(info, self.stopped)
        return self.running[shard]


@pytest.fixture
async def supervisors(monkeypatch):
    monkeypatch.setattr(module, "RETRY", 0.001)
    return FakeSupervisors()


@pytest.fixture
async def orchestrator(supervisors):
    one = Orchestrator(Identity("b", "secret"), supervisors, SystemClock())
    yield one
    await one.stop(0)


async def test_every_team_has_its_shards(orchestrator, supervisors):
    await orchestrator.start(Plan(dict.fromkeys(TEAMS, 2)))
    table = orchestrator.routes()
    assert dict(table.teams) == {"intelligence": 2, "multimodal": 2, "system": 2}
    assert len(table.addresses) == 6
    assert table.addresses["system/1"] == "unix:/system/1.1"
    assert (table.build, table.token) == ("b", "secret")
    assert {info.shard for info in orchestrator.supervisors()} == set(table.addresses)


async def test_before_all_are_up_no_team_takes_tasks(orchestrator, supervisors):
    late = asyncio.get_running_loop().create_future()
    supervisors.troubles = {"system/0": [late]}
    starting = asyncio.create_task(orchestrator.start())
    assert await eventually(lambda: len(supervisors.running) == 2, 5)
    assert orchestrator.routes().teams == {}
    assert orchestrator.snapshot()["state"] == "starting"
    late.set_result(None)
    await starting
    assert orchestrator.snapshot()["state"] == "up"


async def test_a_supervisor_that_dies_is_replaced_and_the_table_tells(orchestrator, supervisors):
    await orchestrator.start()
    before = orchestrator.routes()
    supervisors.running["system/0"].died.set_result("kill -9")
    assert await eventually(lambda: supervisors.running["system/0"].info.epoch == 2, 5)
    after = orchestrator.routes()
    assert after.version > before.version
    assert after.addresses == {**before.addresses, "system/0": "unix:/system/0.2"}


async def test_while_a_shard_is_away_it_has_no_address_and_the_others_do(orchestrator, supervisors):
    await orchestrator.start()
    late = asyncio.get_running_loop().create_future()
    supervisors.troubles = {"system/0": [late]}
    supervisors.running["system/0"].died.set_result("kill -9")
    assert await eventually(lambda: "system/0" not in orchestrator.routes().addresses, 5)
    assert set(orchestrator.routes().addresses) == {"intelligence/0", "multimodal/0"}
    assert orchestrator.routes().teams["system"] == 1  # its tasks wait for it
    assert orchestrator.snapshot()["state"] == "starting"
    late.set_result(None)
    assert await eventually(lambda: orchestrator.snapshot()["state"] == "up", 5)


@pytest.mark.parametrize(
    "trouble", [ServiceUnavailable("no"), OSError(), RuntimeError("anything else")]
)
async def test_a_supervisor_that_does_not_start_is_tried_again(orchestrator, supervisors, trouble):
    supervisors.troubles = {"multimodal/0": [trouble, trouble]}
    await orchestrator.start()
    assert sorted(orchestrator.routes().addresses) == FIRST


async def test_a_tree_that_does_not_come_up_says_so(orchestrator, supervisors):
    supervisors.troubles = {"system/0": [asyncio.get_running_loop().create_future()]}
    with pytest.raises(TimeoutError):
        await orchestrator.start(timeout=0.02)


async def test_supervisors_are_stopped_in_reverse_and_not_replaced(orchestrator, supervisors):
    await orchestrator.start()
    running = dict(supervisors.running)
    await orchestrator.stop(grace=2.5)
    assert supervisors.stopped == [(shard, 2.5) for shard in reversed(FIRST)]
    assert all(handle.died.done() for handle in running.values())
    await asyncio.sleep(0)
    assert supervisors.running == running
    assert orchestrator.routes().addresses == {}


async def test_the_tree_from_above_says_where_things_run(orchestrator):
    await orchestrator.start()
    shown = orchestrator.snapshot()
    where = {"pid": 7, "node": "n", "actorId": "", "team": "system"}
    assert shown["supervisors"]["system/0"] == where


class TestPlan:
    async def test_shards_that_are_leaving_run_and_those_that_are_held_do_not(
        self, orchestrator, supervisors
    ):
        plan = Plan({"system": 2, "intelligence": 1}, {"system/4"}, {"intelligence/0"})
        await orchestrator.start(plan)
        assert sorted(supervisors.running) == ["system/0", "system/1", "system/4"]
        table = orchestrator.routes()
        assert dict(table.teams) == {"system": 2, "intelligence": 0}
        assert set(table.addresses) == set(supervisors.running)

    async def test_a_team_with_one_shard_left_still_takes_tasks(self, orchestrator):
        await orchestrator.start(Plan({"system": 2}, held={"system/1"}))
        assert orchestrator.routes().teams["system"] == 2

    async def test_what_is_added_to_the_plan_is_started_and_the_table_tells(
        self, orchestrator, supervisors
    ):
        await orchestrator.start()
        before = orchestrator.routes().version
        orchestrator.plan.counts["system"] = 2
        orchestrator.follow_plan()
        await orchestrator.settled(5)
        assert "system/1" in orchestrator.routes().addresses
        assert orchestrator.routes().version > before
        assert set(supervisors.running) == {*FIRST, "system/1"}

    async def test_a_supervisor_that_is_ended_is_started_again_if_the_plan_has_it(
        self, orchestrator, supervisors
    ):
        """Also when its keeper sees the end before whoever ordered it does."""
        await orchestrator.start()
        await orchestrator.end("system/0", 1.0)
        await orchestrator.settled(5)
        assert supervisors.stopped == [("system/0", 1.0)]
        assert orchestrator.handle("system/0").info.epoch == 2

    async def test_a_supervisor_that_is_not_in_the_plan_any_more_stays_ended(
        self, orchestrator, supervisors
    ):
        await orchestrator.start()
        orchestrator.plan.held.add("system/0")
        orchestrator.follow_plan()
        await orchestrator.end("system/0", 1.0)
        await orchestrator.end("system/0", 1.0)  # once is enough
        assert supervisors.stopped == [("system/0", 1.0)]
        assert orchestrator.handle("system/0") is None
        assert orchestrator.snapshot()["state"] == "up"  # as ordered


class TestRetirement:
    @pytest.fixture
    async def leaving(self, orchestrator, supervisors):
        """Give a supervisor that is told to finish what it has, and who tells it."""
        await orchestrator.start(Plan({"system": 1}, leaving={"system/1"}))
        retiring = asyncio.create_task(orchestrator.retire("system/1"))
        one = supervisors.running["system/1"]
        assert await eventually(lambda: one.told == [("DRAIN", None)], 5)
        return one, retiring

    async def test_it_ends_once_it_is_empty_and_not_before(
        self, orchestrator, supervisors, leaving
    ):
        one, retiring = leaving
        assert "system/1" in orchestrator.routes().addresses
        one.drained.set_result(None)
        await asyncio.wait_for(retiring, 5)
        assert supervisors.stopped == [("system/1", 0.0)]
        assert set(orchestrator.routes().addresses) == {"system/0"}
        assert orchestrator.plan.leaving == set()

    async def test_when_it_dies_its_successor_drains(self, orchestrator, supervisors, leaving):
        one, retiring = leaving
        one.died.set_result("kill -9")
        assert await eventually(lambda: supervisors.running["system/1"] is not one, 5)
        successor = supervisors.running["system/1"]
        assert await eventually(lambda: successor.told, 5)
        assert successor.told == [("DRAIN", None)]
        successor.drained.set_result(None)
        await asyncio.wait_for(retiring, 5)
        assert orchestrator.handle("system/1") is None

    async def test_when_it_cannot_be_told_it_is_told_again(
        self, orchestrator, supervisors, leaving
    ):
        one, retiring = leaving
        one.drained.set_exception(ServiceUnavailable("not now"))
        assert await eventually(lambda: len(one.told) >= 3, 5)
        one.drained = asyncio.get_running_loop().create_future()
        one.drained.set_result(None)
        await asyncio.wait_for(retiring, 5)
        assert orchestrator.handle("system/1") is None

    async def test_one_that_was_wanted_again_meanwhile_stays(
        self, orchestrator, supervisors, leaving
    ):
        one, retiring = leaving
        orchestrator.plan.counts["system"] = 2
        orchestrator.plan.leaving.clear()
        one.drained.set_result(None)
        await asyncio.wait_for(retiring, 5)
        assert supervisors.stopped == []
        assert orchestrator.handle("system/1") is one


class TestEscalation:
    DOWN = [{"group": "frail", "state": "down"}]  # noqa: RUF012 - nobody changes it

    @pytest.fixture
    async def waits(self, monkeypatch):
        """Give how long each revival waited; none waits in truth."""
        waited = []
        revive = Orchestrator._revive

        async def at_once(self, shard, handle, group, wait):
            waited.append(wait)
            await revive(self, shard, handle, group, 0)

        monkeypatch.setattr(Orchestrator, "_revive", at_once)
        return waited

    async def test_a_group_that_was_given_up_is_tried_again_after_ever_longer(
        self, orchestrator, supervisors, waits
    ):
        await orchestrator.start()
        one = supervisors.running["system/0"]
        for times in range(1, 8):
            one.troubles.put_nowait(self.DOWN)
            assert await eventually(lambda: len(one.told) == times, 5)  # noqa: B023
            one.troubles.put_nowait([])
        assert set(one.told) == {("REVIVE", "frail")}
        assert waits == [30, 60, 120, 240, 480, 600, 600]

    async def test_what_is_known_already_is_not_escalated_again(
        self, orchestrator, supervisors, waits
    ):
        await orchestrator.start()
        one = supervisors.running["system/0"]
        for _ in range(3):
            one.troubles.put_nowait(self.DOWN)
        assert await eventually(lambda: one.troubles.empty() and len(one.told) == 1, 5)
        assert waits == [30]

    async def test_it_waits_before_it_tries_again(self, orchestrator, supervisors, monkeypatch):
        monkeypatch.setattr(module, "COOL_OFF", 60)
        await orchestrator.start()
        one = supervisors.running["system/0"]
        one.troubles.put_nowait(self.DOWN)
        assert await eventually(lambda: orchestrator.snapshot()["troubles"], 5)
        assert one.told == []

    async def test_a_quarantined_group_is_shown_and_looks_after_itself(
        self, orchestrator, supervisors, waits
    ):
        await orchestrator.start()
        one = supervisors.running["system/0"]
        one.troubles.put_nowait([{"group": "echo", "state": "quarantined"}])
        assert await eventually(
            lambda: (
                orchestrator.snapshot()["troubles"]
                == [{"supervisor": "system/0", "group": "echo", "state": "quarantined"}]
            ),
            5,
        )
        assert (one.told, waits) == ([], [])

    async def test_the_successor_of_a_supervisor_has_no_troubles_yet(
        self, orchestrator, supervisors
    ):
        await orchestrator.start()
        one = supervisors.running["system/0"]
        one.troubles.put_nowait(self.DOWN)
        assert await eventually(lambda: orchestrator.snapshot()["troubles"], 5)
        one.died.set_result("kill -9")
        assert await eventually(lambda: orchestrator.handle("system/0") not in (None, one), 5)
        assert orchestrator.snapshot()["troubles"] == []
        await orchestrator._revive("system/0", one, "frail", 0)
        assert supervisors.running["system/0"].told == one.told == []
