"""What everything that counts requests for several replicas promises."""

import asyncio
from dataclasses import replace

import pytest

from cartrita.clock import ManualClock, new_id
from cartrita.errors import ServiceUnavailable
from cartrita.storage.counters import SLOTS, Ask
from cartrita.storage.memory_counters import InMemoryCounters
from cartrita.storage.valkey_counters import ValkeyCounters

LONG = 3_600_000


def ask(told=0, want=0, limit=10, key=None, slot_ms=LONG):
    return Ask(key or new_id(), told, want, limit, slot_ms)


def total(counted):
    return sum(counted.counts.values())


class CountersContract:
    """Subclass it with a fixture `counters`."""

    async def test_what_is_told_counts_and_what_fits_is_granted(self, counters):
        first = ask(told=4, want=3)
        (counted,) = await counters.settle([first])
        assert (counted.granted, total(counted)) == (3, 7)
        (counted,) = await counters.settle([replace(first, told=0, want=9)])
        assert (counted.granted, total(counted)) == (3, 10)
        (counted,) = await counters.settle([replace(first, told=2, want=1)])
        assert (counted.granted, total(counted)) == (0, 12)

    async def test_what_is_given_back_can_be_had_again(self, counters):
        first = ask(want=10)
        await counters.settle([first])
        (counted,) = await counters.settle([replace(first, told=-2, want=5)])
        assert (counted.granted, total(counted)) == (2, 10)

    async def test_one_bucket_does_not_know_another(self, counters):
        full, empty = ask(want=10), ask(want=10)
        assert [c.granted for c in await counters.settle([full, empty, full])] == [10, 10, 0]

    async def test_a_look_changes_nothing(self, counters):
        key = new_id()
        for _ in range(3):
            (counted,) = await counters.settle([ask(key=key)])
            assert (counted.granted, total(counted)) == (0, 0)

    async def test_of_many_at_once_as_many_as_fit_are_let_in(self, counters):
        one = ask(want=1, limit=7)
        answers = await asyncio.gather(*(counters.settle([one]) for _ in range(20)))
        assert sum(answer[0].granted for answer in answers) == 7

    async def test_the_counts_stand_in_slots_of_its_own_time(self, counters):
        (counted,) = await counters.settle([ask(told=1)])
        assert counted.counts == {int(counted.now * 1000) // LONG: 1}


class TestInMemoryCounters(CountersContract):
    """In one process."""

    @pytest.fixture
    def clock(self):
        return ManualClock()

    @pytest.fixture
    def counters(self, clock):
        return InMemoryCounters(clock)

    async def test_what_is_older_than_the_window_is_let_go_of(self, counters, clock):
        first = ask(want=10, slot_ms=1000)
        await counters.settle([first])
        clock.advance(SLOTS)
        (counted,) = await counters.settle([first])
        assert counted.granted == 0
        clock.advance(1)
        (counted,) = await counters.settle([first])
        assert (counted.granted, len(counted.counts)) == (10, 1)


@pytest.mark.database
class TestValkeyCounters(CountersContract):
    """In the embedded server."""

    @pytest.fixture
    async def counters(self, services):
        opened = ValkeyCounters(services.redis_url, timeout=10, prefix=f"test:{new_id()}:")
        yield opened
        await opened.close()

    async def test_what_is_older_than_the_window_is_let_go_of(self, counters, services):
        from redis.asyncio import Redis

        first = ask(want=10, slot_ms=1000)
        slot = int((await counters.settle([replace(first, want=0)]))[0].now)
        key = counters._prefix + first.key
        async with Redis.from_url(services.redis_url) as valkey:
            await valkey.hset(key, mapping={slot - SLOTS - 1: 8, slot - SLOTS + 5: 4})
            (counted,) = await counters.settle([first])
            assert counted.granted == 6
            assert slot - SLOTS - 1 not in counted.counts
            assert 0 < await valkey.pttl(key) <= (SLOTS + 1) * 1000

    async def test_a_server_that_forgot_its_scripts_is_told_again(self, counters, services):
        from redis.asyncio import Redis

        await counters.settle([ask()])
        async with Redis.from_url(services.redis_url) as valkey:
            await valkey.script_flush()
        with pytest.raises(ServiceUnavailable):
            await counters.settle([ask(want=1)])
        (counted,) = await counters.settle([ask(want=1)])
        assert counted.granted == 1

    async def test_a_server_that_is_away_is_said_in_our_words(self, tmp_path):
        counters = ValkeyCounters(f"unix://{tmp_path}/nothing.sock")
        with pytest.raises(ServiceUnavailable, match="Valkey is away"):
            await counters.settle([ask()])
        await counters.close()
