"""The hosts of a supervisor: started, watched, restarted, given up, ended."""

import asyncio
import random
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from actors import fleet as fleet_module
from actors.fleet import Fleet
from actors.hosting import groups_of
from cartrita.channel.address import Address
from cartrita.channel.server import ChannelServer
from cartrita.clock import SystemClock
from cartrita.context import Context
from cartrita.declare import Agent, Needs, Params, Result, task
from cartrita.errors import ChannelLost, ConfigurationInvalid
from cartrita.telemetry.metrics import REGISTRY
from tests.support.processes import eventually


class Nothing(Params):
    """Takes nothing."""


def agent(name, **options):
    """Declare an agent."""

    async def work(self, params: Nothing, ctx: Context) -> Result:
        """Work."""
        return Result()

    body = {"__doc__": f"Is {name}.", "work": task(name)(work)}
    return type(name, (Agent,), body, **{"team": "system", "intensity": 2, **options}).spec


OWN = Needs(isolation="own")
LIGHT = agent("Light", concurrency=2)
FEATHER = agent("Feather", concurrency=1, needs=Needs(cpus=0.5, memory_mb=10))
HEAVY = agent("Heavy", needs=OWN)
RESTING = agent("Resting", needs=OWN, pool=(0, 1))
ONCE = agent("Once", needs=OWN, restart="temporary")


@dataclass(eq=False)
class FakeHost:
    """A host that only answers on its channel."""

    hosts: "FakeHosts"
    spec: object
    server: ChannelServer
    address: str
    pid: int = 1
    node: str = "n"

    def __post_init__(self):
        self.died = asyncio.get_running_loop().create_future()

    async def kill(self):
        self.hosts.log.append(f"kill {self.spec.host_id}")
        if self.hosts.undying:
            raise OSError("it does not die")
        await self.die()

    async def die(self):
        if not self.died.done():
            self.died.set_result("died")
        for _ in range(10):  # asyncio leaks a connection that is being accepted as it closes
            await asyncio.sleep(0)
        await self.server.stop()


@dataclass
class FakeHosts:
    """Starts hosts as a test says: `troubles` are raised one by one."""

    folder: Path
    troubles: list = field(default_factory=list)
    started: list = field(default_factory=list)
    log: list = field(default_factory=list)
    unreachable: bool = False
    undying: bool = False

    async def start(self, spec):
        self.log.append(f"start {spec.host_id}")
        if self.troubles:
            trouble = self.troubles.pop(0)
            if isinstance(trouble, Exception):
                raise trouble
            await trouble
        server = ChannelServer(spec.host_id, None, token=spec.token, epoch=spec.epoch)
        where = await server.start(Address.unix(self.folder / f"{len(self.started)}"))
        host = FakeHost(self, spec, server, "unix:/none" if self.unreachable else str(where))
        self.started.append(host)
        return host


class Yard:
    """A fleet over fake hosts, and what it says."""

    def __init__(self, folder):
        self.hosts, self.downs, self.readies = FakeHosts(folder), [], 0

    async def start(self, *agents):
        self.fleet = Fleet(
            "system/0",
            groups_of(list(agents)),
            self.hosts,
            clock=SystemClock(),
            randomness=random.Random(1),
            on_ready=self.on_ready,
            on_down=lambda group: self.downs.append(group.name),
        )
        await self.fleet.start("the token", 3)
        return self.fleet

    def on_ready(self):
        self.readies += 1

    async def until(self, condition):
        assert await eventually(condition, 5)

    async def ready(self, *names):
        await self.until(lambda: set(names) <= set(self.fleet.ready()))

    def host(self, name):
        (slot,) = self.fleet._slots[name]
        return slot.host

    def row(self, name):
        return next(row for row in self.fleet.snapshot() if row["id"] == f"system/0.{name}.0")


@pytest.fixture
async def yard():
    folder = Path(tempfile.mkdtemp(prefix="ctf-", dir="/tmp"))
    one = Yard(folder)
    yield one
    one.hosts.undying = False
    await one.fleet.stop()
    for host in one.hosts.started:
        await host.die()
    shutil.rmtree(folder)


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
        assert yard.readies == 2
        assert health("light") == 1.0

    async def test_an_agent_that_rests_is_started_when_it_is_first_wanted_and_once(self, yard):
        fleet = await yard.start(RESTING)
        assert (fleet.ready(), yard.row("resting")["state"]) == ([], "down")
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
        assert yard.row("shared")["restarts"] == 1

    async def test_a_host_that_never_starts_is_given_up(self, yard):
        yard.hosts.troubles = [RuntimeError("again")] * 10
        fleet = await yard.start(LIGHT, HEAVY)
        await yard.until(lambda: sorted(yard.downs) == ["heavy", "shared"])
        assert fleet.given_up("light")
        assert yard.row("shared")["state"] == "down"
        assert len(yard.hosts.log) == 6  # twice the first try and two restarts
        assert health("light") == 0.0

    async def test_a_host_that_takes_too_long_is_tried_again(self, yard, monkeypatch):
        monkeypatch.setattr(fleet_module, "START_TIMEOUT", 0.02)
        yard.hosts.troubles = [asyncio.get_running_loop().create_future()]
        await yard.start(LIGHT)
        await yard.until(lambda: len(yard.hosts.log) == 2)
        monkeypatch.setattr(fleet_module, "START_TIMEOUT", 20)
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
        assert yard.row("shared")["restarts"] == 1
        assert yard.readies == 2

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
            assert yard.row("shared")["restarts"] == deaths
            await yard.host("shared").handle.die()
        await yard.until(lambda: yard.downs == ["shared"])
        assert (fleet.given_up("light"), fleet.given_up("heavy")) == (True, False)
        assert fleet.ready() == ["heavy"]
        fleet.wake("light")
        assert yard.row("shared")["state"] == "down"

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


class TestPlaces:
    async def test_each_agent_has_its_own_number_of_places(self, yard):
        fleet = await yard.start(LIGHT, FEATHER)
        await yard.ready("light", "feather")
        host = fleet.acquire("feather")
        assert fleet.ready() == ["light"]
        fleet.acquire("light")
        fleet.acquire("light")
        assert fleet.ready() == []
        assert (host.in_flight, yard.row("shared")["inFlight"]) == (3, 3)
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
        assert all(slot.keeper.done() for slots in fleet._slots.values() for slot in slots)
