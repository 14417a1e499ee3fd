"""The catalogue of now."""

import asyncio

import pytest

from cartrita.catalog import Catalog
from cartrita.clock import ManualClock, new_id
from cartrita.errors import AgentUnavailable, InvalidTaskType, ServiceUnavailable
from cartrita.external.registration import Registration
from cartrita.external.registry import Registered
from cartrita.roster import AGAIN, FRESH, Roster
from cartrita.storage.memory_external import InMemoryRegistry
from tests.support.elsewhere import registration, task_type
from tests.support.stage import Echo

DECLARED = Catalog.of([Echo])


class Counted(InMemoryRegistry):
    """A registry that counts who looks, and may be away."""

    looks, away = 0, False

    async def all(self):
        self.looks += 1
        await asyncio.sleep(0)
        if self.away:
            raise ServiceUnavailable("away")
        return await super().all()


@pytest.fixture
def registry():
    return Counted()


@pytest.fixture
def clock():
    return ManualClock(0.0)


@pytest.fixture
def roster(registry, clock):
    return Roster(DECLARED, registry, clock)


async def put(registry, name="weather", *types):
    told = registration(name=name, taskTypes=[task_type(item) for item in types or ("a.b",)])
    one = Registered(Registration.model_validate(told), new_id(), "ada", 0.0)
    await registry.put(one)
    return one


async def test_it_is_the_same_object_while_nothing_changes(registry, roster, clock):
    await put(registry)
    first = await roster.catalog()
    assert {"echo", "weather"} <= set(first.agents)
    clock.advance(FRESH)
    assert await roster.catalog() is first
    await put(registry)
    clock.advance(FRESH)
    assert await roster.catalog() is not first


async def test_many_who_ask_are_one_look(registry, roster, clock):
    await asyncio.gather(*(roster.catalog() for _ in range(50)))
    assert registry.looks == 1
    clock.advance(FRESH)
    await asyncio.gather(*(roster.agents() for _ in range(50)))
    assert registry.looks == 2


async def test_what_is_missing_is_looked_for_again_sooner(registry, roster, clock):
    for _ in range(5):
        with pytest.raises(InvalidTaskType):
            await roster.task("a.b")
    assert registry.looks == 1
    await put(registry)
    clock.advance(AGAIN)
    assert (await roster.task("a.b")).agent == "weather"


async def test_a_change_that_is_known_is_seen_at_once(registry, roster):
    await roster.catalog()
    await put(registry)
    roster.forget()
    assert (await roster.task("a.b")).carrier.agent == "weather"


async def test_what_was_known_holds_while_the_registry_is_away(registry, roster, clock):
    await put(registry)
    await roster.catalog()
    registry.away = True
    clock.advance(FRESH)
    assert (await roster.task("a.b")).agent == "weather"
    with pytest.raises(InvalidTaskType):
        await roster.task("c.d")


async def test_nobody_says_that_there_is_none_who_could_not_look(registry, roster):
    registry.away = True
    with pytest.raises(ServiceUnavailable):
        await roster.task("a.b")
    assert await roster.catalog() is DECLARED


async def test_tasks_of_a_quarantined_agent_are_refused(registry, roster):
    one = await put(registry)
    await registry.note("weather", one.revision, "quarantined", 0.0, "ill")
    with pytest.raises(AgentUnavailable, match="ill") as caught:
        await roster.task("a.b")
    assert caught.value.retry_after


async def test_what_is_declared_goes_before(registry, roster):
    await put(registry, "echo", "x.y")
    await put(registry, "weather", "test.echo", "a.b")
    catalog = await roster.catalog()
    assert catalog.agents["echo"] is DECLARED.agents["echo"]
    assert (await roster.task("test.echo")).agent == "echo"
    assert (await roster.task("a.b")).agent == "weather"
    with pytest.raises(InvalidTaskType):
        await roster.task("x.y")
