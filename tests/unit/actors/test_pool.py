"""How many hosts a group of agents should have."""

import random
from heapq import heappop, heappush
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.pool import Load, PoolBounds, PoolSize

TICK = 0.5
IDLE = Load(0, 0, 4, 1.0)

bounds = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(
    lambda pair: PoolBounds(min(pair), max(*pair, 1))
)
loads = st.builds(
    Load,
    waiting=st.integers(0, 500),
    running=st.integers(0, 60),
    concurrency=st.integers(1, 20),
    service=st.just(0.0) | st.floats(0, 1e9),
)
starts = st.integers(0, 20)


def pool(least=0, most=8, **options):
    return PoolSize(PoolBounds(least, most), **options)


def follow(size, load, hosts, seconds, since=0.0):
    """Return the sizes while a load stays the same and every wish is granted."""
    sizes = [hosts]
    for tick in range(int(seconds / TICK) + 1):
        sizes.append(size.decide(since + tick * TICK, load, sizes[-1]))
    return sizes[1:]


class TestBounds:
    @pytest.mark.parametrize(("least", "most"), [(-1, 1), (2, 1), (0, 0)])
    def test_what_could_not_hold_is_refused(self, least, most):
        with pytest.raises(ValueError, match="0 <= least <= most"):
            PoolBounds(least, most)

    @given(bounds, st.lists(st.tuples(st.floats(0, 60), loads, starts), max_size=30))
    def test_no_load_leads_out_of_them(self, bounds, looks):
        size, now = PoolSize(bounds), 0.0
        for pause, load, hosts in looks:
            now += pause
            assert bounds.least <= size.decide(now, load, hosts) <= bounds.most

    def test_an_order_holds_at_once(self):
        size = pool(1, 4)
        assert size.order(least=3) == PoolBounds(3, 4)
        assert size.decide(0.0, IDLE, 1) == 3
        assert size.order(least=0, most=2) == PoolBounds(0, 2)
        assert size.decide(0.0, Load(99, 12, 4, 1.0), 3) == 2

    def test_an_order_that_cannot_hold_changes_nothing(self):
        size = pool(1, 4)
        with pytest.raises(ValueError, match="order both"):
            size.order(least=5)
        assert size.bounds == PoolBounds(1, 4)

    def test_both_may_pass_what_they_were(self):
        assert pool(1, 4).order(least=5, most=6) == PoolBounds(5, 6)

    @pytest.mark.parametrize("target_wait", [0.0, -1.0])
    def test_no_time_at_all_is_no_target(self, target_wait):
        with pytest.raises(ValueError, match="target_wait"):
            pool(target_wait=target_wait)


class TestUp:
    @pytest.mark.parametrize("service", [0.0, 0.001, 60.0])
    def test_something_that_waits_has_a_host_at_once(self, service):
        assert pool().decide(0.0, Load(1, 0, 4, service), 0) == 1

    def test_a_backlog_must_last_before_it_counts(self):
        size, flood = pool(up_after=1.0), Load(100, 4, 4, 1.0)
        assert [size.decide(now, flood, 1) for now in (0.0, 0.5, 0.9, 1.0)] == [1, 1, 1, 2]

    def test_a_backlog_that_pauses_begins_anew(self):
        size, flood = pool(up_after=1.0), Load(100, 4, 4, 1.0)
        looks = [(0.0, flood), (0.9, Load(2, 4, 4, 1.0)), (1.0, flood), (1.9, flood), (2.0, flood)]
        assert [size.decide(now, load, 1) for now, load in looks] == [1, 1, 1, 1, 2]

    def test_it_doubles_until_the_backlog_would_drain_in_time(self):
        sizes = follow(pool(1, 50), Load(100, 16, 4, 1.0), 1, 20)
        assert list(dict.fromkeys(sizes)) == [1, 2, 4, 8, 16, 25]

    def test_a_backlog_that_drains_in_time_asks_for_nothing(self):
        assert set(follow(pool(1), Load(400, 4, 4, 0.01), 1, 60)) == {1}

    def test_a_shorter_target_asks_for_more(self):
        load = Load(8, 4, 4, 0.5)
        assert follow(pool(1, target_wait=1.0), load, 1, 10)[-1] == 1
        assert follow(pool(1, target_wait=0.25), load, 1, 10)[-1] == 3  # more have no task

    def test_there_are_never_more_hosts_than_tasks_for_them(self):
        assert set(follow(pool(), Load(1, 0, 1, 600.0), 1, 20)) == {1}
        assert follow(pool(), Load(2, 1, 1, 600.0), 1, 20)[-1] == 3

    def test_tasks_of_unknown_length_are_not_left_waiting(self):
        assert follow(pool(), Load(12, 4, 4, 0.0), 1, 20)[-1] == 3


class TestDown:
    def test_it_is_one_at_a_time_after_a_while_each(self):
        sizes = follow(pool(1, down_after=30.0), IDLE, 4, 120)
        changes = [tick * TICK for tick, (a, b) in enumerate(pairwise(sizes), 1) if b == a - 1]
        assert changes == [30.0, 60.0, 90.0]
        assert sizes[-1] == 1

    def test_a_busy_moment_begins_anew(self):
        size = pool(1, down_after=30.0)
        follow(size, IDLE, 2, 29)
        size.decide(29.5, Load(0, 5, 4, 1.0), 2)
        assert set(follow(size, IDLE, 2, 29.5, since=30.0)) == {2}
        assert size.decide(60.0, IDLE, 2) == 1

    @pytest.mark.parametrize(("running", "end"), [(0, 0), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
    def test_as_many_stay_as_what_runs_fills(self, running, end):
        assert follow(pool(), Load(0, running, 4, 1.0), 4, 300)[-1] == end

    def test_the_last_one_goes_only_when_nothing_is_there(self):
        assert follow(pool(0), Load(1, 0, 4, 0.001), 1, 300)[-1] == 1
        assert follow(pool(0), Load(0, 1, 4, 0.001), 1, 300)[-1] == 1
        assert follow(pool(1), IDLE, 1, 300)[-1] == 1
        assert follow(pool(0), IDLE, 1, 29.5)[-1] == 1
        assert follow(pool(0), IDLE, 1, 30)[-1] == 0

    def test_growing_forgets_that_fewer_would_have_done(self):
        size = pool(1, 8, up_after=0.0, down_after=10.0)
        assert size.decide(0.0, IDLE, 2) == 2
        assert size.decide(9.0, Load(50, 8, 4, 1.0), 2) == 4
        assert size.decide(10.0, IDLE, 4) == 4


class TestFlapping:
    @given(bounds, loads, starts)
    def test_under_a_constant_load_it_moves_one_way_and_settles(self, bounds, load, hosts):
        size = PoolSize(bounds, down_after=2.0)
        first, *sizes = follow(size, load, hosts, 60)
        assert [first, *sizes] in (sorted([first, *sizes]), sorted([first, *sizes], reverse=True))
        assert len(set(sizes[-40:])) == 1
        assert sizes[-1] >= bounds.clamp(load.asks(1.0))
        assert sizes[-1] <= bounds.clamp(load.needs(1.0))

    @given(bounds, loads, starts, st.lists(loads, max_size=20))
    def test_it_settles_where_it_would_whatever_came_before(self, bounds, load, hosts, before):
        size = PoolSize(bounds, down_after=2.0)
        for tick, other in enumerate(before):
            hosts = size.decide(tick * TICK, other, hosts)
        sizes = follow(size, load, hosts, 60, since=len(before) * TICK)
        assert len(set(sizes[-40:])) == 1
        assert bounds.clamp(load.asks(1.0)) <= sizes[-1] <= bounds.clamp(load.needs(1.0))

    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize(
        ("rate", "service", "concurrency"),
        [(20, 0.5, 4), (15.9, 1.0, 16), (31, 1.0, 16), (100, 0.05, 2), (200, 0.01, 1)],
    )
    def test_under_steady_traffic_it_does_not_go_down_to_come_up_again(
        self, rate, service, concurrency, seed
    ):
        sizes = traffic(random.Random(seed), rate, service, concurrency, 1_800)
        steps = [b - a for a, b in pairwise(sizes[600:]) if a != b]
        assert not [pair for pair in pairwise(steps) if pair[0] < 0 < pair[1]]
        assert rate * service / concurrency <= min(sizes[600:])
        assert max(sizes[600:]) <= rate * service / concurrency + 2


def traffic(rng, rate, service, concurrency, seconds):
    """Return the sizes under Poisson arrivals of tasks whose lengths are exponential."""
    size, hosts, waiting, ends, sizes = pool(), 0, 0, [], []
    arrival = rng.expovariate(rate)
    for tick in range(int(seconds / TICK)):
        now = tick * TICK
        while (at := min([arrival, *ends[:1]])) <= now:
            if at == arrival:
                waiting, arrival = waiting + 1, at + rng.expovariate(rate)
            else:
                heappop(ends)
            while waiting and len(ends) < hosts * concurrency:
                waiting -= 1
                heappush(ends, at + rng.expovariate(1 / service))
        hosts = size.decide(now, Load(waiting, len(ends), concurrency, service), hosts)
        sizes.append(hosts)
    return sizes
