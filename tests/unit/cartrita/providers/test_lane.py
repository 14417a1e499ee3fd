"""Tests of cartrita/providers/lane.py."""

import asyncio

import pytest

from cartrita.clock import ManualClock
from cartrita.errors import AgentFailed, NetworkFailed, Reason, ServiceUnavailable
from cartrita.providers.lane import AWAY, FRESH, ProviderLane
from cartrita.providers.throttle import Throttle
from cartrita.storage.circuits import FAILURES, REST
from cartrita.storage.memory_circuits import InMemoryCircuits


class Broken:
    """A store that is away, and counts who asked."""

    def __init__(self):
        self.asked = 0

    async def change(self, key, change):
        self.asked += 1
        raise ServiceUnavailable("away")


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def hosts(clock):
    """Two processes that share circuits."""
    circuits = InMemoryCircuits()
    return [ProviderLane("p:m", Throttle("p", 8, clock), circuits, clock) for _ in range(2)]


async def call(lane, error=None, tokens=0):
    async with lane.turn(1.0) as turn:
        turn.tokens = tokens
        if error:
            raise error


async def fail(lane, times=FAILURES, reason=None):
    for _ in range(times):
        with pytest.raises(NetworkFailed):
            await call(lane, NetworkFailed("gone", reason))


async def test_after_failures_in_a_row_nobody_is_let_through_on_any_host(hosts, clock):
    await fail(hosts[0])
    clock.advance(FRESH)
    for lane in hosts:
        with pytest.raises(NetworkFailed, match="left alone") as caught:
            await call(lane)
        assert caught.value.reason == Reason.CIRCUIT_OPEN
        assert 0 < caught.value.retry_after <= REST
    assert not hosts[1].well


async def test_failures_of_different_hosts_count_together(hosts, clock):
    await fail(hosts[0], FAILURES - 1)
    await fail(hosts[1], 1)
    with pytest.raises(NetworkFailed, match="left alone"):
        await call(hosts[1])


async def test_after_the_rest_one_call_looks_and_the_others_wait_for_it(hosts, clock):
    await fail(hosts[0])
    clock.advance(REST)
    async with hosts[0].turn(1.0):
        with pytest.raises(NetworkFailed, match="left alone"):
            await call(hosts[1])
    await call(hosts[1])
    assert all(lane.well for lane in hosts)


async def test_a_look_that_fails_doubles_the_rest(hosts, clock):
    await fail(hosts[0])
    clock.advance(REST)
    await fail(hosts[0], 1)
    clock.advance(REST + 1)
    with pytest.raises(NetworkFailed, match="left alone"):
        await call(hosts[0])
    clock.advance(REST)
    await call(hosts[0])


async def test_a_success_in_between_starts_the_count_anew(hosts):
    await fail(hosts[0], FAILURES - 1)
    await call(hosts[0])
    await fail(hosts[0], FAILURES - 1)
    await call(hosts[0])


async def test_a_provider_that_says_too_many_is_not_ill_but_sent_less(hosts):
    await fail(hosts[0], FAILURES * 2, Reason.PROVIDER_BUSY)
    await call(hosts[0])
    assert hosts[0]._throttle.window.limit < 8


async def test_what_a_model_refuses_does_not_count_against_it(hosts):
    for _ in range(FAILURES * 2):
        with pytest.raises(AgentFailed):
            await call(hosts[0], AgentFailed("no"))
    await call(hosts[0])
    assert hosts[0].observed.errors == 0


async def test_a_call_that_is_cancelled_gives_its_place_back_and_tells_nothing(hosts):
    with pytest.raises(asyncio.CancelledError):
        await call(hosts[0], asyncio.CancelledError())
    assert hosts[0]._throttle.under_way == 0
    assert hosts[0].observed.calls == 0


async def test_without_the_shared_store_each_host_counts_for_itself(clock):
    store = Broken()
    lane = ProviderLane("p:m", Throttle("p", 8, clock), store, clock)
    await fail(lane)
    with pytest.raises(NetworkFailed, match="left alone"):
        await call(lane)
    assert store.asked == 1  # and not for every call
    clock.advance(AWAY)
    await call(lane)
    assert store.asked > 1
