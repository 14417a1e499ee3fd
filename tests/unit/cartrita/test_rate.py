"""Requests are counted here, settled with others, and refused beyond the limit."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita import rate
from cartrita.clock import ManualClock
from cartrita.errors import RateLimitExceeded, ServiceUnavailable
from cartrita.rate import Bucket, Limiter, Quota
from cartrita.storage.counters import SLOTS
from cartrita.storage.memory_counters import InMemoryCounters

MINUTE = Quota("principal", 50, 60.0)


class Flaky(InMemoryCounters):
    """Counters that a test takes away, and whose visitors it counts."""

    def __init__(self, clock):
        super().__init__(clock)
        self.away, self.calls, self.gate = False, 0, asyncio.Event()
        self.settled = asyncio.Event()
        self.gate.set()

    async def settle(self, asks):
        self.calls += 1
        await self.gate.wait()
        if self.away:
            raise ServiceUnavailable("Away.")
        self.settled.set()
        return await super().settle(asks)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def counters(clock):
    return Flaky(clock)


async def taken(limiter, times, user="ada"):
    """Take so often and return how many were let in."""
    done = await asyncio.gather(*(limiter.take(user) for _ in range(times)), return_exceptions=True)
    assert all(result is None or isinstance(result, RateLimitExceeded) for result in done)
    return done.count(None)


async def test_one_replica_lets_in_exactly_the_limit(clock, counters):
    for limiter in (Limiter(clock, MINUTE), Limiter(clock, MINUTE, counters=counters)):
        assert await taken(limiter, 30) == 30
        assert await taken(limiter, 70) == 20
        assert await taken(limiter, 5) == 0
        await limiter.close()


async def test_each_principal_has_a_quota_of_its_own(clock):
    limiter = Limiter(clock, MINUTE)
    assert await taken(limiter, 60) == 50
    assert await taken(limiter, 60, "eve") == 50


async def test_without_a_quota_nobody_is_refused(clock):
    limiter = Limiter(clock)
    assert await taken(limiter, 500) == 500
    assert limiter.standing("ada") is None
    limiter.check("ada")


async def test_what_was_used_comes_back_after_the_window_and_not_before(clock):
    limiter = Limiter(clock, MINUTE)
    await taken(limiter, 50)
    clock.advance(59.9)
    assert await taken(limiter, 1) == 0
    clock.advance(60 / SLOTS + 0.2)
    assert await taken(limiter, 60) == 50


async def test_a_refusal_says_when_to_come_back_and_that_is_true(clock):
    limiter = Limiter(clock, MINUTE)
    await taken(limiter, 50)
    clock.advance(20)
    with pytest.raises(RateLimitExceeded) as caught:
        await limiter.take("ada")
    assert caught.value.reason == "PRINCIPAL_QUOTA"
    assert caught.value.retry_after == limiter.standing("ada").reset
    with pytest.raises(RateLimitExceeded):
        limiter.check("ada")
    clock.advance(caught.value.retry_after + 0.001)
    limiter.check("ada")
    await limiter.take("ada")


async def test_all_together_have_a_limit_and_its_refusal_costs_nobody_theirs(clock):
    limiter = Limiter(clock, MINUTE, Quota("shared", 40, 60.0))
    assert await taken(limiter, 30, "ada") == 30
    assert await taken(limiter, 10, "eve") == 10
    with pytest.raises(RateLimitExceeded) as caught:
        await limiter.take("bob")
    assert caught.value.reason == "SHARED_QUOTA"
    assert limiter.standing("bob").remaining == 50


async def test_what_is_given_back_may_be_taken_again_here_and_elsewhere(clock, counters):
    here, there = (Limiter(clock, Quota("account", 2, 60.0), counters=counters) for _ in "12")
    for _ in range(5):
        assert await taken(here, 1) == 1
        here.give_back("ada")
    await here.close()
    assert await taken(there, 3) == 2
    with pytest.raises(RateLimitExceeded, match="failed 2 times") as caught:
        await there.take("ada")
    assert caught.value.reason == "ACCOUNT_QUOTA"


async def test_what_is_left_is_told(clock):
    limiter = Limiter(clock, MINUTE)
    assert limiter.standing("ada").remaining == 50
    await taken(limiter, 7)
    assert limiter.standing("ada").remaining == 43
    assert 0 < limiter.standing("ada").reset <= 60 + 60 / SLOTS


@pytest.mark.parametrize("replicas", [2, 5])
async def test_several_replicas_go_beyond_by_their_slack_at_most(clock, counters, replicas):
    quota = Quota("principal", 1000, 60.0)
    limiters = [Limiter(clock, quota, counters=counters) for _ in range(replicas)]
    let_in = 0
    for _ in range(60):
        let_in += sum([await taken(limiter, 7 * replicas) for limiter in limiters])
    assert 1000 <= let_in <= 1000 + replicas * quota.slack
    for limiter in limiters:
        await limiter.close()


async def test_a_round_trip_is_made_once_for_many(clock, counters):
    quota = Quota("principal", 10_000, 60.0)
    limiter = Limiter(clock, quota, counters=counters)
    assert await taken(limiter, 90) == 90
    assert counters.calls == 0
    counters.gate.clear()
    waiting = asyncio.gather(*(limiter.take("ada") for _ in range(200)))
    await asyncio.sleep(0)
    counters.gate.set()
    await waiting
    assert counters.calls <= 3
    await limiter.close()


async def test_the_others_hear_of_what_was_let_in(clock, counters, monkeypatch):
    monkeypatch.setattr(rate, "SETTLE_EVERY", 0.0)
    here, there = (Limiter(clock, Quota("principal", 500, 60.0), counters=counters) for _ in "12")
    await taken(here, 5)
    async with asyncio.timeout(5):
        await counters.settled.wait()
    await taken(there, 6)
    assert there.standing("ada").remaining == 500 - 5 - 6
    await here.close()
    await there.close()


async def test_while_the_counters_are_away_each_counts_for_itself(clock, counters):
    limiter = Limiter(clock, MINUTE, counters=counters)
    assert await taken(limiter, 20) == 20
    counters.away = True
    assert await taken(limiter, 60) == 30
    calls = counters.calls
    assert await taken(limiter, 60, "eve") == 50
    assert counters.calls == calls  # not asked again for a while
    clock.advance(rate.AWAY)
    counters.away = False
    assert await taken(limiter, 10, "bob") == 10
    assert counters.calls > calls
    await limiter.close()


async def test_a_defect_of_the_counters_leaves_nobody_waiting(clock, counters, monkeypatch):
    async def broken(asks):
        raise ValueError("broken")

    monkeypatch.setattr(counters, "settle", broken)
    limiter = Limiter(clock, Quota("principal", 2, 60.0), counters=counters)
    async with asyncio.timeout(5):
        assert await taken(limiter, 4) == 2
    task = limiter._settling
    if task:
        await asyncio.wait((task,))
        assert isinstance(task.exception(), ValueError)


async def test_counters_that_hang_leave_nothing_behind(clock, counters, monkeypatch):
    monkeypatch.setattr(rate, "AWAY", 0.01)
    limiter = Limiter(clock, Quota("principal", 2, 60.0), counters=counters)
    counters.gate.clear()
    waiting = [asyncio.ensure_future(limiter.take("ada")) for _ in range(3)]
    await asyncio.sleep(0)
    await limiter.close()
    answers = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert [isinstance(answer, RateLimitExceeded) for answer in answers] == [False, False, True]
    assert limiter._settling is None
    assert limiter._alarm is None or limiter._alarm.cancelled()


async def test_who_leaves_while_waiting_does_no_harm(clock, counters):
    limiter = Limiter(clock, Quota("principal", 3, 60.0), counters=counters)
    await limiter.take("ada")
    counters.gate.clear()
    leaving = asyncio.ensure_future(limiter.take("ada"))
    staying = asyncio.ensure_future(limiter.take("ada"))
    await asyncio.sleep(0)
    leaving.cancel()
    counters.gate.set()
    await staying
    assert await taken(limiter, 1) == 0
    await limiter.close()


async def test_only_so_many_principals_are_remembered(clock, counters, monkeypatch):
    monkeypatch.setattr(rate, "MOST_BUCKETS", 20)
    limiter = Limiter(clock, MINUTE, counters=counters)
    await taken(limiter, 50, "ada")
    for number in range(100):
        limiter.standing(f"user {number}")
    assert len(limiter._buckets) <= 20
    assert await taken(limiter, 2 * MINUTE.slack, "ada") <= MINUTE.slack
    await limiter.close()


@given(steps=st.lists(st.tuples(st.integers(0, 30), st.floats(0, 9)), max_size=60))
def test_no_window_ever_holds_more_than_the_limit(steps):
    quota, bucket, now, let_in = Quota("principal", 20, 12.0), None, 1000.0, []
    bucket = Bucket("of:ada", quota)
    for times, pause in steps:
        now += pause
        for _ in range(times):
            if bucket.used(now) < quota.limit:
                bucket.told += 1
                let_in.append(now)
        bucket.ask()
        bucket.fend(now)
    for at in let_in:
        assert sum(at - 12.0 < other <= at for other in let_in) <= quota.limit
