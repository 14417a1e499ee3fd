"""Tier 0 keeps a supervisor running for every shard."""

import asyncio
from dataclasses import dataclass, field

import pytest

from actors import orchestrator as module
from actors.hosting import SupervisorInfo
from actors.orchestrator import Identity, Orchestrator
from cartrita.clock import SystemClock
from cartrita.errors import ServiceUnavailable
from tests.support.processes import eventually

FIRST = ["intelligence/0", "multimodal/0", "system/0"]


class FakeSupervisor:
    """A supervisor that lives until the test ends it."""

    def __init__(self, info, log):
        self.info, self._log = info, log
        self.died = asyncio.get_running_loop().create_future()

    async def stop(self, grace):
        self._log.append((self.info.shard, grace))


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
    await orchestrator.start(shards=2)
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
    for handle in running.values():
        handle.died.set_result("stopped")
    await asyncio.sleep(0)
    assert supervisors.running == running
    assert orchestrator.routes().addresses == {}


async def test_the_tree_from_above_says_where_things_run(orchestrator):
    await orchestrator.start()
    shown = orchestrator.snapshot()
    assert shown["supervisors"]["system/0"] == {"pid": 7, "node": "n", "team": "system"}
