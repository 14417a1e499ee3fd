"""The size of a pool, step by step, against everything it was ever shown."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.pool import Load, PoolBounds, PoolSize

UP_AFTER, DOWN_AFTER = 1.0, 4.0

# Quarters of a second: sums of them are exact.
pauses = st.sampled_from([0.25, 0.5, 1.0, 5.0])


def enough(waiting, running, concurrency, service):
    """Return the fewest hosts that drain what waits in a second, or leave no task without."""
    hosts = 0
    while hosts * concurrency < min(waiting * service, waiting + running):
        hosts += 1
    return hosts


def room(running, concurrency):
    """Return the fewest hosts that have places for what runs."""
    hosts = 0
    while hosts * concurrency < running:
        hosts += 1
    return hosts


class AgainstItsHistory(RuleBasedStateMachine):
    """A pool beside a list of its looks: (when, what held), since each last began anew."""

    @initialize(
        pair=st.tuples(st.integers(0, 6), st.integers(0, 6)),
        concurrency=st.sampled_from([1, 3, 16]),
        service=st.sampled_from([0.0, 0.125, 1.0, 30.0]),
    )
    def is_declared(self, pair, concurrency, service):
        self.bounds = PoolBounds(min(pair), max(*pair, 1))
        self.size = PoolSize(self.bounds, up_after=UP_AFTER, down_after=DOWN_AFTER)
        self.concurrency, self.service = concurrency, service
        self.waiting = self.running = 0
        self.now, self.hosts = 0.0, self.bounds.least
        self.behind, self.spare = [], []

    @rule(tasks=st.integers(1, 40), pause=pauses)
    def tasks_arrive(self, tasks, pause):
        self.waiting += tasks
        self.look(pause)

    @rule(pause=pauses)
    def tasks_start(self, pause):
        places = max(self.hosts * self.concurrency - self.running, 0)
        started = min(self.waiting, places)
        self.waiting, self.running = self.waiting - started, self.running + started
        self.look(pause)

    @rule(tasks=st.integers(1, 40), pause=pauses)
    def tasks_end(self, tasks, pause):
        self.running = max(self.running - tasks, 0)
        self.look(pause)

    @precondition(lambda self: self.waiting + self.running)
    @rule(pause=pauses)
    def everything_ends(self, pause):
        self.waiting = self.running = 0
        self.look(pause)

    @rule(service=st.sampled_from([0.0, 0.125, 0.5, 1.0, 30.0]))
    def tasks_take_another_time(self, service):
        self.service = service

    @rule(least=st.none() | st.integers(0, 8), most=st.none() | st.integers(0, 8))
    def an_operator_orders(self, least, most):
        low = self.bounds.least if least is None else least
        high = self.bounds.most if most is None else most
        if low <= high and high >= 1:
            self.bounds = self.size.order(least=least, most=most)
            assert (self.bounds.least, self.bounds.most) == (low, high)
        else:
            with pytest.raises(ValueError, match="least <= most"):
                self.size.order(least=least, most=most)

    @rule(hosts=st.integers(0, 9))
    def somebody_else_starts_or_ends_hosts(self, hosts):
        self.hosts = hosts

    @rule(pause=pauses, looks=st.integers(2, 8))
    def nothing_changes(self, pause, looks):
        for _ in range(looks):
            self.look(pause)

    def look(self, pause):
        self.now += pause
        load = Load(self.waiting, self.running, self.concurrency, self.service)
        asked = enough(self.waiting, self.running, self.concurrency, self.service or 1.0)
        needed = max(asked, room(self.running, self.concurrency))
        self.behind.append((self.now, asked > self.hosts))
        self.spare.append((self.now, needed < self.hosts))
        expected = self.hosts
        if self.lasted(self.behind, UP_AFTER):
            self.behind = [(self.now, True)]
            expected = min(asked, 2 * self.hosts)
        if self.lasted(self.spare, DOWN_AFTER):
            self.spare = [(self.now, True)]
            expected = self.hosts - 1
        if self.hosts == 0 and self.waiting:
            expected = 1
        expected = min(max(expected, self.bounds.least), self.bounds.most)
        self.hosts = self.size.decide(self.now, load, self.hosts)
        assert self.hosts == expected

    def lasted(self, looks, seconds):
        """Tell whether something held in all the latest looks, and for so long."""
        when = self.now + 1
        for at, held in reversed(looks):
            if not held:
                break
            when = at
        return self.now - when >= seconds

    @invariant()
    def it_wants_what_it_may(self):
        assert self.size.bounds == self.bounds


TestAgainstItsHistory = AgainstItsHistory.TestCase
TestAgainstItsHistory.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
