"""The line outside a full mailbox, and how fast it moves."""

import heapq
import random
from collections import defaultdict
from itertools import count

import pytest

from actors.line import GRACE, LONGEST, DrainRate, Line
from actors.mailbox import Entry, Mailbox


def worked(rate, now, seconds, each):
    """Let a task end every `each` seconds for so long; return the time afterwards."""
    rate.busy(True)
    rate.count(now)
    for _ in range(round(seconds / each)):
        now += each
        rate.count(now)
    return now


class TestDrainRate:
    def test_it_is_unknown_until_something_ends(self):
        rate = DrainRate()
        assert rate.rate(5) == 0
        rate.busy(True)
        assert rate.rate(9) == 0

    @pytest.mark.parametrize("each", [0.001, 0.01, 0.3, 4.0, 60.0])
    def test_it_is_the_ends_per_second(self, each):
        rate = DrainRate()
        now = worked(rate, 1_000, max(100 * each, 1), each)
        assert rate.rate(now) == pytest.approx(1 / each, rel=0.1)

    @pytest.mark.parametrize(("before", "after"), [(0.01, 0.1), (0.1, 0.01), (0.01, 0.002)])
    def test_it_follows_a_change_within_two_seconds_or_so(self, before, after):
        rate = DrainRate()
        now = worked(rate, 0, 30, before)
        now = worked(rate, now, 2.2, after)
        assert rate.rate(now) == pytest.approx(1 / after, rel=0.2)

    def test_it_falls_when_nothing_ends_any_more(self):
        rate = DrainRate()
        now = worked(rate, 0, 30, 0.01)
        assert rate.rate(now + 8) < 5

    def test_a_quiet_time_does_not_lower_it(self):
        rate = DrainRate()
        now = worked(rate, 0, 30, 0.01)
        rate.busy(False)
        rate.busy(True)
        assert rate.rate(now + 3_600) == pytest.approx(100, rel=0.1)

    def test_what_ends_in_a_quiet_time_does_not_raise_it(self):
        rate = DrainRate()
        now = worked(rate, 0, 30, 0.01)
        rate.busy(False)
        for _ in range(1_000):
            rate.count(now + 1)
        assert rate.rate(now + 1) == pytest.approx(100, rel=0.1)

    def test_a_short_wait_does_not_raise_it(self):
        rate = DrainRate()
        now = worked(rate, 0, 30, 0.01)
        for pair in range(400):  # two servers that work in step, and seldom more than two wait
            for end in (now + pair * 0.02, now + pair * 0.02 + 0.001):
                rate.busy(True)
                rate.count(end)
            rate.busy(False)
        assert rate.rate(now + 8) == pytest.approx(100, rel=0.1)


def line_of(callers, *, tenant="ada", now=0.0, rate=10.0, waiting=100, **options):
    """Return a line, and what each of so many callers that came at once was told."""
    line = Line(**options)
    told = [line.refuse(now, f"{tenant}{n}", tenant, waiting, rate) for n in range(callers)]
    return line, told


class TestPlaces:
    def test_nobody_is_told_more_than_a_second_while_the_rate_is_unknown(self):
        line, told = line_of(100, rate=0.0)
        assert set(told) == {1}
        assert len(line) == 0

    def test_callers_are_told_to_come_at_nine_tenths_of_the_rate(self):
        _, told = line_of(90, rate=10.0)
        assert told == sorted(told)
        assert told[0] == 1
        assert told[-1] == pytest.approx(90 / 9, abs=1)

    def test_a_caller_that_comes_in_time_goes_in_before_fresh_ones(self):
        line, told = line_of(30)
        assert not line.admits(told[0], "fresh", "ada", room=1)
        assert line.admits(told[0], "ada0", "ada", room=1)
        assert len(line) == 29

    def test_a_place_is_good_for_once(self):
        line, told = line_of(60)
        assert line.admits(told[0], "ada0", "ada", room=1)
        assert not line.admits(told[0], "ada0", "ada", room=1)

    def test_a_caller_that_comes_too_early_keeps_its_place(self):
        line, told = line_of(60)
        assert not line.admits(2.5, "ada59", "ada", room=1)
        assert line.refuse(2.5, "ada59", "ada", 100, 10.0) == told[59] - 2
        assert line.admits(told[59], "ada59", "ada", room=1)

    def test_the_place_of_a_caller_that_does_not_come_is_given_up(self):
        line, told = line_of(60)
        for second in range(told[-1] + int(GRACE) + 2):
            line.admits(second, "", "ada", room=0)
        assert len(line) == 0
        assert line.returning < 0.9

    def test_a_key_is_worth_nothing_to_another_tenant(self):
        line, told = line_of(60)
        line.refuse(0.0, "eve0", "eve", 100, 10.0)  # or eve would be a tenant not in line
        assert not line.admits(told[0], "ada0", "eve", room=1)
        assert line.admits(told[0], "ada0", "ada", room=1)

    def test_a_caller_without_a_key_has_no_place(self):
        line, _ = line_of(60)
        assert 1 <= line.refuse(0.0, "", "ada", 100, 10.0) <= 8
        assert len(line) == 60

    def test_no_room_is_no_room(self):
        line, told = line_of(1)
        assert not line.admits(told[0], "ada0", "ada", room=0)

    def test_a_broken_promise_is_soon_made_again(self):
        line, told = line_of(500)
        assert not line.admits(told[0], "ada0", "ada", room=0)
        again = line.refuse(told[0], "ada0", "ada", 100, 10.0)
        assert again == 1
        assert line.admits(told[0] + again, "ada0", "ada", room=1)

    def test_while_nobody_is_in_line_every_room_is_free(self):
        line = Line()
        assert all(line.admits(0.0, f"{n}", "ada", room=1) for n in range(1_000))

    def test_room_beyond_what_is_held_is_free(self):
        line, told = line_of(30)
        assert line.admits(told[0], "fresh", "ada", room=40)

    def test_no_room_is_held_for_callers_that_never_come(self):
        line = Line()
        for call in range(1_200):
            line.refuse(call / 20, f"ada{call}", "ada", 100, 10.0)
        assert line.returning < 0.05
        assert line.admits(60.0, "fresh", "ada", room=1)

    def test_a_line_that_became_empty_starts_anew(self):
        line, _ = line_of(500)
        assert all(line.admits(0.5, f"ada{n}", "ada", room=501) for n in range(500))
        assert line.refuse(1.0, "late", "ada", 100, 10.0) == 1


class TestBounds:
    def test_nobody_is_told_more_than_an_hour(self):
        line, told = line_of(5_000, rate=1.0)
        assert max(told) == LONGEST
        assert len(line) == pytest.approx(0.9 * LONGEST, rel=0.01)

    def test_a_line_that_was_too_long_is_not_longer_than_its_places(self):
        line, _ = line_of(5_000, rate=1.0)
        assert line.refuse(100.0, "late", "ada", 100, 1.0) <= LONGEST - 90

    def test_only_so_many_have_places_and_the_others_wait_longest(self):
        line, told = line_of(200, places=100)
        assert len(line) == 90
        assert set(told[90:]) == {max(told)}

    def test_a_flood_does_not_take_all_places(self):
        line, _ = line_of(200, places=100)
        told = line.refuse(0.0, "bob", "bob", 100, 10.0)
        assert told <= 2
        assert line.admits(told, "bob", "bob", room=1)

    def test_tenants_are_forgotten(self):
        line = line_of(60)[0]
        for number in range(10_000):
            line.admits(number / 1_000, f"{number}", f"tenant{number}", room=1)
        assert len(line._queues) <= 500


class TestTenants:
    def test_each_has_a_line_of_its_own(self):
        line, told = line_of(500)
        assert told[-1] > 50
        assert line.refuse(0.0, "bob", "bob", 100, 10.0) <= 2

    def test_those_in_line_share_the_rate(self):
        line, _ = line_of(1)
        bobs = [line.refuse(0.0, f"bob{n}", "bob", 100, 10.0) for n in range(90)]
        assert bobs[-1] == pytest.approx(90 / 4.5, abs=1)

    def test_many_that_come_at_once_are_not_promised_the_same_second(self):
        line = Line()
        told = [line.refuse(0.0, "it", f"tenant{n}", 100, 10.0) for n in range(90)]
        assert told[-1] == pytest.approx(90 / 9, abs=1)

    def test_what_others_use_is_not_promised(self):
        line, _ = line_of(100, rate=100.0, waiting=1_000)
        assert all(line.admits(n / 40, f"bob{n}", "bob", room=1) for n in range(80))
        told = [line.refuse(2.0, f"late{n}", "ada", 1_000, 100.0) for n in range(500)]
        assert told[-1] - told[0] == pytest.approx(500 / (90 - 40), rel=0.2)

    def test_who_asks_for_less_than_its_share_does_not_meet_the_line(self):
        line, _ = line_of(500, rate=100.0)
        bobs = [line.admits(2 + n / 20, f"bob{n}", "bob", room=1) for n in range(100)]
        adas = [line.admits(2 + n / 20, "fresh", "ada", room=1) for n in range(40)]
        assert all(bobs)
        assert not any(adas)

    def test_who_asks_for_more_than_its_share_does_not_always_pass(self):
        line, _ = line_of(500, rate=10.0)
        bobs = [line.admits(2 + n / 20, f"bob{n}", "bob", room=1) for n in range(100)]
        assert 20 <= sum(bobs) <= 30  # of 5 seconds, at 4.5 a second, and a second of credit


class Overload:
    """A mailbox, its servers and their callers, in virtual time.

    Args:
        rates: Fresh callers per second of each tenant (Poisson, open loop).
        back: The share of the refused that come again once, exactly when they were told.
        service: The mean seconds of service, and `spread` the share of it that varies.
        seconds: How long fresh callers come.
    """

    def __init__(  # noqa: PLR0913 - a scenario has so many sides
        self, rates, back=1.0, *, bound=8, servers=2, service=0.02, spread=0.0, seconds=60.0
    ):
        self.rates, self.back, self.seconds = rates, back, seconds
        self.service, self.spread = service, spread
        self.box, self.line, self.rate = Mailbox(bound), Line(), DrainRate()
        self.servers = self.idle = servers
        self.random, self.numbers, self.events = random.Random(1), count(), []
        self.arrivals = {tenant: random.Random(tenant) for tenant in rates}
        self.kept, self.took, self.told = [], defaultdict(list), defaultdict(list)
        self.first, self.ends = {}, 0
        for tenant in rates:
            self.next(0.0, tenant)
        while self.events:
            now, _, event, subject = heapq.heappop(self.events)
            event(now, *subject)

    def at(self, time, event, *subject):
        heapq.heappush(self.events, (time, next(self.numbers), event, subject))

    def next(self, now, tenant):
        time = now + self.arrivals[tenant].expovariate(self.rates[tenant])
        if time < self.seconds:
            self.at(time, self.fresh, tenant)

    def fresh(self, now, tenant):
        self.next(now, tenant)
        key = f"{tenant}{next(self.numbers)}"
        if self.calls(now, key, tenant, now):
            return
        told = self.line.refuse(now, key, tenant, len(self.box), self.rate.rate(now))
        self.told[tenant].append(told)
        if self.random.random() < self.back:
            self.at(now + told, self.returns, key, tenant, now)

    def returns(self, now, key, tenant, first):
        self.kept.append(self.calls(now, key, tenant, first))

    def calls(self, now, key, tenant, first):
        room = self.box.room(tenant) + self.idle
        if not self.line.admits(now, key, tenant, room):
            return False
        self.first[key] = first
        self.box.push(Entry(key, "poet", tenant, weight=self.service), force=True)
        self.dispatch(now)
        return True

    def dispatch(self, now):
        while self.idle and (entry := self.box.pop(["poet"])):
            self.idle -= 1
            service = self.service * self.random.uniform(1 - self.spread, 1 + self.spread)
            self.at(now + service, self.end, entry)
        self.rate.busy(len(self.box) > 0)

    def end(self, now, entry):
        self.took[entry.tenant].append(now - self.first.pop(entry.task_id))
        self.ends += now <= self.seconds
        self.idle += 1
        self.rate.count(now)
        self.dispatch(now)

    @property
    def goodput(self):
        """The share of the capacity that was used while fresh callers came."""
        return self.ends * self.service / (self.servers * self.seconds)

    def p99(self, tenant):
        """Return the seconds from the first call to the end that 99 in 100 stay under."""
        took = sorted(self.took[tenant])
        return took[len(took) * 99 // 100]

    @property
    def honoured(self):
        """The share of those that came again that went in."""
        return sum(self.kept) / len(self.kept)


class TestOverload:
    """Ten times more callers than capacity for a minute; each test is one run, about a second."""

    @pytest.mark.parametrize("bound", [8, 1_000])
    def test_who_comes_again_goes_in_even_if_all_do(self, bound):
        run = Overload({"ada": 1_000}, bound=bound)
        assert len(run.kept) > 50_000
        assert run.honoured >= 0.95
        assert run.goodput >= 0.95
        assert max(run.told["ada"]) < 1.1 * len(run.kept) / (0.9 * 100)

    def test_capacity_is_used_when_nobody_comes_again(self):
        run = Overload({"ada": 1_000}, back=0.0)
        assert run.goodput >= 0.95

    def test_half_that_come_again_go_in_and_leave_no_capacity_idle(self):
        run = Overload({"ada": 1_000}, back=0.5)
        assert run.honoured >= 0.95
        assert run.goodput >= 0.95

    def test_promises_of_slow_tasks_are_kept(self):
        run = Overload({"ada": 0.3}, service=10.0, seconds=3_600.0)
        assert len(run.kept) > 200
        assert run.honoured >= 0.95
        assert run.goodput >= 0.95

    def test_many_tenants_share_one_line(self):
        run = Overload({f"tenant{number}": 1 for number in range(1_000)}, seconds=30.0)
        assert run.honoured >= 0.9
        assert run.goodput >= 0.95


class TestFlood:
    """Of two tenants, one sends a hundred times more than the other."""

    @staticmethod
    def runs(*, alone=None, **options):
        """Return a run with both tenants, and one of the other alone."""
        with_flood = Overload({"ada": 1_000, "bob": 10}, **options)
        return with_flood, Overload({"bob": 10}, **(options | (alone or {})))

    def test_the_other_waits_little_longer_than_alone(self):
        flood, alone = self.runs(bound=100, servers=20, service=0.2, spread=0.5)
        assert flood.told["bob"] == []
        assert flood.p99("bob") <= 1.5 * alone.p99("bob")
        assert flood.honoured >= 0.95

    def test_with_two_servers_the_other_waits_as_if_it_had_one_of_its_own(self):
        """What runs is not interrupted: both servers to itself is more than anybody can have."""
        flood, alone = self.runs(bound=100, alone={"servers": 1})
        assert flood.told["bob"] == []
        assert flood.p99("bob") <= 1.5 * alone.p99("bob")

    def test_where_there_is_no_room_at_all_the_other_has_a_short_line(self):
        flood = Overload({"ada": 1_000, "bob": 10}, bound=8, seconds=30.0)
        assert max(flood.told["ada"]) > 300
        assert max(flood.told["bob"]) <= 6
        assert flood.honoured >= 0.95
