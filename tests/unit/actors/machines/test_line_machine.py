"""The line outside a mailbox, step by step, against a list of its promises."""

import math
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.line import GRACE, LONGEST, PACE, TICKS, Line

TENANTS = ("ada", "bob", "eve")
PLACES = 30

tenants = st.sampled_from(TENANTS)
rooms = st.integers(1, 5)


class AgainstItsPromises(RuleBasedStateMachine):
    """A line beside a list of who was told to come when."""

    @initialize(
        rate=st.sampled_from([0.003, 0.1, 2.0, 50.0]), waiting=st.sampled_from([1, 8, 1_000])
    )
    def opens(self, rate, waiting):
        self.line, self.rate, self.waiting = Line(PLACES), rate, waiting
        self.now, self.numbers, self.promises = 1_000.0, count(), {}

    def pick(self, which):
        callers = sorted(self.promises, key=lambda one: self.promises[one])
        return callers[which % len(callers)] if callers else None

    def tell(self, tenant, key):
        told = self.line.refuse(self.now, key, tenant, self.waiting, self.rate)
        assert isinstance(told, int)
        assert 1 <= told <= LONGEST
        return told

    @rule(tenant=tenants, callers=st.integers(1, 12))
    def some_are_refused(self, tenant, callers):
        for _ in range(callers):
            key, before = f"{next(self.numbers)}", len(self.line)
            told = self.tell(tenant, key)
            if len(self.line) > before:
                self.promises[tenant, key] = self.now + told

    @rule(tenant=tenants, room=rooms)
    def a_fresh_one_comes(self, tenant, room):
        """It may be refused, but not for more than all who are in line."""
        admitted = self.line.admits(self.now, f"{next(self.numbers)}", tenant, room)
        assert admitted or room <= len(self.promises)

    @rule(which=st.integers(0, PLACES), room=rooms)
    def one_comes_in_time(self, which, room):
        caller = self.pick(which)
        if caller is not None:
            self.until(self.promises[caller])
            assert self.line.admits(self.now, caller[1], caller[0], room)
            del self.promises[caller]

    @rule(which=st.integers(0, PLACES))
    def one_comes_in_time_in_vain(self, which):
        """It is told another time, or, after very many others in vain, that there is none."""
        caller = self.pick(which)
        if caller is not None:
            self.until(self.promises[caller])
            assert not self.line.admits(self.now, caller[1], caller[0], 0)
            others = len(self.promises) - 1
            told = self.tell(*caller)
            assert told <= math.ceil(1 + others / (PACE * self.rate))
            self.promises[caller] = self.now + told
            if len(self.line) == others:
                assert told == LONGEST
                del self.promises[caller]

    @rule(which=st.integers(0, PLACES), room=st.integers(0, 5))
    def one_comes_too_early(self, which, room):
        caller = self.pick(which)
        if caller is not None and self.promises[caller] > self.now:
            if self.line.admits(self.now, caller[1], caller[0], room):
                assert room
                del self.promises[caller]
            else:
                assert self.tell(*caller) == math.ceil(self.promises[caller] - self.now)

    @rule(tenant=tenants)
    def one_without_a_key_comes(self, tenant):
        before = len(self.line)
        self.tell(tenant, "")
        assert len(self.line) <= before

    @rule(ticks=st.integers(1, 8 * TICKS))
    def time_passes(self, ticks):
        self.until(self.now + ticks / TICKS)

    def until(self, time):
        self.now = max(self.now, time)
        assert not self.line.admits(self.now, "", "ada", 0)
        self.promises = {
            caller: due for caller, due in self.promises.items() if due >= self.now - GRACE
        }

    @invariant()
    def the_line_is_its_promises(self):
        line, callers = self.line, list(self.promises)
        assert len(line) == len(callers) <= PLACES
        assert set(line._places) == set(callers)
        assert all(place.due == self.promises[who] for who, place in line._places.items())
        assert 0 <= line.returning <= 1

    @invariant()
    def its_sums_add_up(self):
        line = self.line
        lined = {tenant: q.places for tenant, q in line._queues.items() if q.places}
        assert sum(lined.values()) == sum(len(tick.places) for tick in line._ticks.values())
        assert sum(lined.values()) == len(line)
        assert len(lined) == line._lined
        assert sorted(line._order) == sorted(line._ticks)

    @invariant()
    def no_tenant_is_promised_more_than_ends(self):
        for tenant in TENANTS:
            mine = [
                place.due
                for place in self.line._places.values()
                if place.tenant == tenant and not place.late and place.due >= self.now
            ]
            if mine:
                assert len(mine) <= self.rate * (max(mine) - self.now + 1) + 1


TestAgainstItsPromises = AgainstItsPromises.TestCase
TestAgainstItsPromises.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
