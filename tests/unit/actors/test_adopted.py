"""Hosts that take the tasks of an agent that does not live on them."""

import pytest

from actors.fleet import TICK
from cartrita.protocol.carrier import Carrier
from tests.support.yard import agent, open_yard

PAIR = agent("Pair", concurrency=2, pool=(2, 2))
GROWING = agent("Growing", concurrency=2, pool=(0, 4))
WEATHER = Carrier("pair", "weather", 3, True)


@pytest.fixture
async def yard():
    async with open_yard() as one:
        yield one


async def test_it_has_a_bound_of_its_own_over_all_hosts(yard):
    fleet = await yard.start(PAIR)
    fleet.adopt(WEATHER, "pair")
    await yard.until(lambda: all(slot.host for slot in yard.slots("shared")))
    assert set(fleet.ready()) == {"pair", "weather"}
    assert fleet.capacity("weather") == 3
    taken = []
    while "weather" in fleet.ready():
        taken.append(fleet.acquire("weather"))
    assert len(taken) == 3
    assert len(set(map(id, taken))) == 2
    for _ in range(4):
        fleet.acquire("pair")
    assert fleet.ready() == []
    fleet.release(taken[0], "weather")
    assert fleet.ready() == ["weather"]


async def test_a_wish_for_a_host_does_not_pass_the_bound(yard):
    fleet = await yard.start(PAIR)
    fleet.adopt(WEATHER._replace(most=1), "pair")
    await yard.until(lambda: all(slot.host for slot in yard.slots("shared")))
    first, second = (slot.name for slot in yard.slots("shared"))
    assert fleet.acquire("weather", second) is yard.host("shared", 1)
    assert "weather" not in fleet.ready()
    assert yard.fleet.crews["shared"].named(first, "weather") is None


async def test_a_changed_bound_holds_from_the_next_task_on(yard):
    fleet = await yard.start(PAIR)
    fleet.adopt(WEATHER, "pair")
    await yard.ready("weather")
    for _ in range(3):
        fleet.acquire("weather")
    fleet.adopt(WEATHER._replace(most=4), "pair")
    fleet.changed()
    assert "weather" in fleet.ready()
    fleet.adopt(WEATHER._replace(most=1), "pair")
    fleet.changed()
    assert "weather" not in fleet.ready()


async def test_a_host_is_started_for_it_and_no_more_than_one_however_many_wait(yard):
    fleet = await yard.start(GROWING)
    fleet.adopt(WEATHER, "growing")
    assert fleet.ready() == []
    yard.waits["weather"], yard.services["weather"] = 500, 10.0
    fleet.wake("weather")
    await yard.ready("weather")
    await yard.ticks(int(2 / TICK))
    assert len(yard.hosts.started) == 1


async def test_who_lives_here_is_not_adopted(yard):
    fleet = await yard.start(PAIR)
    fleet.adopt(WEATHER._replace(agent="pair", most=1), "pair")
    await yard.ready("pair")
    assert fleet.capacity("pair") == 4


async def test_it_is_down_with_those_who_carry_it(yard):
    fleet = await yard.start(PAIR)
    fleet.adopt(WEATHER, "pair")
    assert not fleet.given_up("weather")
    assert fleet.given_up("tide")
    await fleet.hold(fleet.crew("shared"), 0.0)
    assert fleet.given_up("weather")
