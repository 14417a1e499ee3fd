"""Restarts, step by step, against a list of all deaths and a team that remembers its starts."""

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.restart import JITTER, RestartPolicy, RestartWindow, affected

# Eighths of a second: sums of them are exact.
pauses = st.integers(0, 40).map(lambda eighths: eighths / 8)
TEAM = ("store", "reader", "writer", "judge")


class OneChild(RuleBasedStateMachine):
    """A window beside all the deaths since an operator last forgave them."""

    @initialize(
        intensity=st.integers(0, 5),
        period=st.sampled_from([1.0, 2.5, 10.0]),
        restart=st.sampled_from(["permanent", "permanent", "transient", "temporary"]),
    )
    def is_declared(self, intensity, period, restart):
        self.policy = RestartPolicy(restart, intensity, period)
        self.window = RestartWindow(self.policy, random.Random(1))
        self.now, self.held, self.again, self.total = 0.0, [], [], 0

    @rule(pause=pauses, crashed=st.booleans())
    def dies(self, pause, crashed):
        self.now += pause
        delay = self.window.died(self.now, crashed=crashed)
        if self.policy.restart == "temporary" or not (
            crashed or self.policy.restart != "transient"
        ):
            assert delay is None
            return
        self.held.append(self.now)
        recent = sum(self.now - death < self.policy.period for death in self.held)
        if recent > self.policy.intensity:
            assert delay is None
            return
        middle = min(0.05 * 2 ** (recent - 2), 5.0) if recent > 1 else 0.0
        assert middle * (1 - JITTER) <= delay <= middle * (1 + JITTER)
        self.again.append(self.now)
        self.total += 1

    @precondition(lambda self: self.again)
    @rule(quiet=pauses)
    def lives_for_a_period(self, quiet):
        self.now += quiet + self.policy.period

    @precondition(lambda self: len(self.held) > self.policy.intensity)
    @rule()
    def is_restarted_by_an_operator(self):
        self.window.reset()
        self.held, self.again = [], []

    @invariant()
    def no_period_has_more_restarts_than_allowed(self):
        for begin in self.again:
            within = sum(begin <= at < begin + self.policy.period for at in self.again)
            assert within <= self.policy.intensity

    @invariant()
    def every_restart_is_counted(self):
        assert self.window.restarts == self.total


class ATeam(RuleBasedStateMachine):
    """Children that end and start as they are told, beside what each strategy promises."""

    @initialize(strategy=st.sampled_from(["one_for_one", "rest_for_one", "one_for_all"]))
    def starts(self, strategy):
        self.strategy = strategy
        self.clock, self.alive, self.ended = 0, {}, []
        for child in TEAM:
            self.start(child)
        self.deaths = dict.fromkeys(TEAM, 0)

    def start(self, child):
        assert child not in self.alive
        self.clock += 1
        self.alive[child] = self.clock

    @rule(child=st.sampled_from(TEAM))
    def loses(self, child):
        before, places = dict(self.alive), {name: place for place, name in enumerate(TEAM)}
        del self.alive[child]
        others = affected(self.strategy, TEAM, child)
        for other in others:
            assert max(places[left] for left in self.alive if left in others) == places[other]
            del self.alive[other]
        for again in sorted([child, *others], key=TEAM.index):
            self.start(again)
        self.deaths[child] += 1
        self.kept = {name for name in TEAM if self.alive[name] == before[name]}
        self.check(places[child])

    def check(self, place):
        expected = {
            "one_for_one": {*TEAM} - {TEAM[place]},
            "rest_for_one": {*TEAM[:place]},
            "one_for_all": set(),
        }
        assert self.kept == expected[self.strategy]

    @invariant()
    def nobody_stays_away(self):
        assert set(self.alive) == set(TEAM)

    @invariant()
    def who_depends_on_an_elder_is_younger(self):
        if self.strategy != "one_for_one":
            assert sorted(TEAM, key=self.alive.__getitem__) == list(TEAM)


TestOneChild = OneChild.TestCase
TestOneChild.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
TestATeam = ATeam.TestCase
TestATeam.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
