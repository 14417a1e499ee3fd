"""External agents are looked after."""

import asyncio

import pytest

from actors.patrol import Patrol
from cartrita.clock import ManualClock, new_id, new_random
from cartrita.errors import NetworkFailed, ServiceUnavailable
from cartrita.external.registration import Registration
from cartrita.external.registry import Registered
from cartrita.storage.memory_external import InMemoryRegistry
from cartrita.telemetry.metrics import REGISTRY
from tests.support.elsewhere import registration, task_type


class Ward:
    """Agents whose health a test sets."""

    def __init__(self):
        self.clock, self.registry = ManualClock(), InMemoryRegistry()
        self.patrol = Patrol(self.registry, self, self.clock, new_random())
        self.ill, self.checked = set(), []
        self.held = None

    async def register(self, name="weather", **changes):
        types = [task_type(f"{name}.forecast")]
        told = registration(name=name, taskTypes=types, healthEveryMs=5000, **changes)
        one = Registered(Registration.model_validate(told), new_id(), "ada", 0.0)
        await self.registry.put(one)

    async def call(self, parameters, ctx):
        raise NotImplementedError

    async def check(self, agent):
        self.checked.append(agent.name)
        if self.held:
            await self.held.wait()
        if agent.name in self.ill:
            raise NetworkFailed("ill")
        return "well"

    async def round(self, seconds=5.0):
        self.clock.advance(seconds)
        await asyncio.gather(*await self.patrol.round())
        return {one.name: one.standing for one in await self.registry.all()}


@pytest.fixture
def ward():
    return Ward()


async def test_a_new_agent_is_looked_at_at_once_and_then_every_so_often(ward):
    await ward.register()
    assert await ward.round(0) == {"weather": "up"}
    for seconds in (1, 3.9, 0.1, 4.9, 0.1):
        await ward.round(seconds)
    assert len(ward.checked) == 3
    (one,) = await ward.registry.all()
    assert (one.checked_at, one.detail) == (ward.clock.now(), "well")


async def test_more_failures_than_its_intensity_within_its_period_quarantine_it(ward):
    await ward.register(intensity=2, periodMs=60_000)
    await ward.round()
    ward.ill.add("weather")
    assert [(await ward.round())["weather"] for _ in range(4)] == [
        "up", "up", "quarantined", "quarantined"
    ]  # fmt: skip
    assert REGISTRY.get_sample_value("cartrita_mcp_agent_health", {"agent_id": "weather"}) == 0.0
    ward.ill.clear()
    assert await ward.round() == {"weather": "up"}
    assert REGISTRY.get_sample_value("cartrita_mcp_agent_health", {"agent_id": "weather"}) == 1.0
    ward.ill.add("weather")
    assert await ward.round() == {"weather": "up"}  # the failures before do not count any more


async def test_failures_that_are_far_apart_do_not(ward):
    await ward.register(intensity=1, periodMs=10_000)
    ward.ill.add("weather")
    assert {(await ward.round(11))["weather"] for _ in range(9)} == {"starting"}


async def test_one_that_was_never_well_is_quarantined_too(ward):
    await ward.register(intensity=0)
    ward.ill.add("weather")
    assert await ward.round() == {"weather": "quarantined"}


async def test_a_suspicion_has_it_looked_at_at_once(ward):
    await ward.register()
    await ward.round()
    await ward.round(0.5)
    assert len(ward.checked) == 1
    await ward.registry.suspect("weather")
    await ward.round(0.5)
    await ward.round(0.5)
    assert len(ward.checked) == 2


async def test_what_is_registered_anew_begins_anew(ward):
    await ward.register(intensity=0)
    ward.ill.add("weather")
    assert await ward.round() == {"weather": "quarantined"}
    await ward.register(intensity=5)
    assert await ward.round(0) == {"weather": "starting"}


async def test_a_slow_check_keeps_nobody_waiting_and_is_not_begun_twice(ward):
    await ward.register()
    await ward.register("tide")
    ward.held = asyncio.Event()
    first = await ward.patrol.round()
    ward.clock.advance(60)
    assert await ward.patrol.round() == []
    ward.held.set()
    await asyncio.gather(*first)
    assert sorted(ward.checked) == ["tide", "weather"]


async def test_a_removed_one_is_forgotten(ward):
    await ward.register()
    await ward.round()
    await ward.registry.remove("weather")
    assert await ward.round() == {}
    assert len(ward.checked) == 1


async def test_a_registry_that_is_away_is_no_illness(ward, monkeypatch):
    await ward.register(intensity=0)

    async def away(_agent):
        raise ServiceUnavailable("away")

    monkeypatch.setattr(ward, "check", away)
    assert await ward.round() == {"weather": "starting"}


async def test_going_round_survives_whatever_goes_wrong(ward, monkeypatch):
    monkeypatch.setattr("actors.patrol.TICK", 0.001)
    troubles, done = [ServiceUnavailable("away"), RuntimeError("a defect")], asyncio.Event()
    every = ward.registry.all

    async def all_():
        if troubles:
            raise troubles.pop(0)
        done.set()
        return await every()

    monkeypatch.setattr(ward.registry, "all", all_)
    going = asyncio.create_task(ward.patrol.run())
    await asyncio.wait_for(done.wait(), 5)
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
