"""A mailbox, step by step, against a plain list in the order of arrival."""

from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.mailbox import SHARE, Entry, Mailbox
from cartrita.errors import QueueFull

AGENTS = ("poet", "clerk")
TENANTS = ("ada", "bob", "eve")
PRIORITIES = (0, 5, 6)
AGEING = 4

# Halves: sums of them are exact.
weights = st.sampled_from([0.5, 1.0, 1.0, 4.0])
readiness = st.sampled_from([AGENTS, AGENTS, ("poet",), ("clerk", "nobody"), ()])
kinds = st.tuples(
    st.sampled_from(TENANTS), st.sampled_from(PRIORITIES), st.sampled_from(AGENTS), weights
)


@dataclass(slots=True, eq=False)
class Waiting:
    """One task of the model."""

    task_id: str
    tenant: str
    priority: int
    agent: str
    weight: float
    start: float


class NaiveMailbox:
    """What `Mailbox` promises, looked up in one list from end to end each time."""

    def __init__(self):
        self.line = []
        self.clock = dict.fromkeys(PRIORITIES, 0.0)
        self.debts, self.latest = {}, {}
        self.pops = 0

    def of(self, **wanted):
        return [
            one
            for one in self.line
            if all(getattr(one, name) == value for name, value in wanted.items())
        ]

    def place(self, tenant, priority, agent):
        """Return a newcomer's debt and virtual start; in a held-up lane nobody's is in its past."""
        lane = [one.start for one in self.of(priority=priority, agent=agent)]
        debt = max(min([self.clock[priority], *lane]), self.debts.get((tenant, priority), 0.0))
        return debt, max(debt, self.latest.get((tenant, priority), 0.0))

    def push(self, task_id, tenant, priority, agent, weight):
        debt, start = self.place(tenant, priority, agent)
        self.debts[tenant, priority] = debt + weight
        self.latest[tenant, priority] = start
        self.line.append(Waiting(task_id, tenant, priority, agent, weight, start))

    def ahead(self, tenant, priority, agent):
        _, start = self.place(tenant, priority, agent)
        return sum(
            one.weight
            for one in self.of(agent=agent)
            if one.priority > priority or (one.priority == priority and one.start <= start)
        )

    def pop(self, ready):
        able = [one for one in self.line if one.agent in ready]
        if not able:
            return None
        self.pops += 1
        # `min` takes the first of equals, which came first.
        firsts = [
            min(mine, key=lambda one: one.start)
            for level in reversed(PRIORITIES)
            if (mine := [one for one in able if one.priority == level])
        ]
        chosen = firsts[0] if self.pops % AGEING else min(firsts, key=self.line.index)
        self.leave(chosen)
        self.clock[chosen.priority] = max(self.clock[chosen.priority], chosen.start)
        return chosen.task_id

    def leave(self, one):
        self.line.remove(one)
        if not self.of(tenant=one.tenant):
            for priority in PRIORITIES:
                self.latest.pop((one.tenant, priority), None)
        if not self.line:
            self.debts.clear()

    def charge(self, tenant, priority, difference):
        if self.line:
            now = self.clock[priority]
            debt = self.debts.get((tenant, priority), now)
            self.debts[tenant, priority] = max(min(debt, now), debt + difference)


class AgainstAList(RuleBasedStateMachine):
    """Every answer of a mailbox is the one that the list gives."""

    @initialize(bound=st.sampled_from([3, 12, 40]))
    def opens(self, bound):
        self.box, self.model = Mailbox(bound, AGEING), NaiveMailbox()
        self.numbers = count()

    def task(self, kind):
        tenant, priority, agent, weight = kind
        return Entry(str(next(self.numbers)), agent, tenant, priority, weight)

    def refused(self, tenant):
        free = self.box.bound - len(self.model.line)
        return free <= 0 or len(self.model.of(tenant=tenant)) >= SHARE * free

    @rule(kind=kinds, force=st.sampled_from([False, False, False, True]))
    def one_arrives(self, kind, force):
        one, full = self.task(kind), self.refused(kind[0])
        assert self.box.room_for(one.tenant) == (not full)
        if full and not force:
            with pytest.raises(QueueFull):
                self.box.push(one)
        else:
            self.box.push(one, force=force)
            self.model.push(one.task_id, *kind)

    @rule(kind=kinds, tasks=st.integers(2, 8))
    def a_tenant_floods(self, kind, tasks):
        for _ in range(tasks):
            self.one_arrives(kind, force=False)

    @rule(ready=readiness)
    def one_runs(self, ready):
        popped = self.box.pop(ready)
        assert (popped and popped.task_id) == self.model.pop(ready)

    @rule(ready=readiness, tasks=st.integers(2, 6))
    def some_run(self, ready, tasks):
        for _ in range(tasks):
            self.one_runs(ready)

    @rule(place=st.integers(0, 50))
    def one_leaves(self, place):
        if self.model.line:
            one = self.model.line[place % len(self.model.line)]
            self.model.leave(one)
            removed = self.box.remove(one.task_id)
            assert removed.task_id == one.task_id
            assert self.box.remove(one.task_id) is None

    @rule(
        tenant=st.sampled_from(TENANTS),
        priority=st.sampled_from(PRIORITIES),
        halves=st.integers(-6, 6),
    )
    def one_cost_something_else(self, tenant, priority, halves):
        self.box.charge(tenant, priority, halves / 2)
        self.model.charge(tenant, priority, halves / 2)

    @rule(bound=st.sampled_from([3, 12, 40]))
    def an_operator_moves_the_bound(self, bound):
        self.box.bound = bound

    @rule(kind=kinds)
    def one_asks_how_long(self, kind):
        assert self.box.ahead(self.task(kind)) == self.model.ahead(*kind[:3])

    @rule(sure=st.integers(0, 3))
    def all_run(self, sure):
        while not sure and self.model.line:
            self.one_runs(AGENTS)

    @invariant()
    def what_waits_is_counted(self):
        line = self.model.line
        assert len(self.box) == len(line)
        assert self.box.total_weight == sum(one.weight for one in line)
        for agent in AGENTS:
            mine = self.model.of(agent=agent)
            assert self.box.depth(agent) == len(mine)
            assert self.box.weight_of(agent) == sum(one.weight for one in mine)
        for tenant in TENANTS:
            assert self.box.held(tenant) == len(self.model.of(tenant=tenant))


TestAgainstAList = AgainstAList.TestCase
TestAgainstAList.settings = settings(max_examples=500, stateful_step_count=50, deadline=None)
