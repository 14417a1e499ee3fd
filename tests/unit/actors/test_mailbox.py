"""The order in which waiting tasks run."""

import random
from collections import Counter
from itertools import count
from operator import attrgetter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
)

from actors.mailbox import AGEING, PRIORITIES, Entry, Mailbox
from cartrita.errors import QueueFull

AGENTS = ("poet", "clerk")
TENANTS = ("ada", "bob", "eve")
NEVER = 10**9
NUMBERS = count()


def entry(tenant="ada", priority=5, agent="poet", **fields):
    return Entry(f"{tenant}{next(NUMBERS)}", agent, tenant, priority, **fields)


def push(box, *entries):
    for one in entries:
        box.push(one)
    return [one.task_id for one in entries]


def pop_all(box, ready=AGENTS):
    popped = []
    while one := box.pop(ready):
        popped.append(one)
    return popped


def ids(entries):
    return [one.task_id for one in entries]


class AgainstAModel(RuleBasedStateMachine):
    """A mailbox beside a plain list of what waits, in the order of arrival."""

    waiting = Bundle("waiting")

    def __init__(self):
        super().__init__()
        self.box = Mailbox(bound=6, ageing=4)
        self.model = []
        self.pops = 0

    @rule(
        target=waiting,
        tenant=st.sampled_from(TENANTS),
        priority=st.sampled_from([0, 5, 10]),
        agent=st.sampled_from(AGENTS),
        force=st.booleans(),
    )
    def arrives(self, tenant, priority, agent, force):
        one = entry(tenant, priority, agent)
        if len(self.model) >= 6 and not force:
            with pytest.raises(QueueFull):
                self.box.push(one)
        else:
            self.box.push(one, force=force)
            self.model.append(one)
        return one

    @rule(one=consumes(waiting))
    def leaves(self, one):
        expected = one if one in self.model else None
        assert self.box.remove(one.task_id) is expected
        assert self.box.remove(one.task_id) is None
        if expected:
            self.model.remove(one)

    @rule(ready=st.sets(st.sampled_from([*AGENTS, "nobody"])))
    def runs(self, ready):
        able = [one for one in self.model if one.agent in ready]
        popped = self.box.pop(ready)
        if not able:
            assert popped is None
            return
        self.pops += 1
        self.model.remove(popped)
        kind = attrgetter("tenant", "priority", "agent")
        assert popped is next(one for one in able if kind(one) == kind(popped))
        if self.pops % 4:
            assert popped.priority == max(one.priority for one in able)

    @precondition(lambda self: self.model)
    @rule()
    def is_emptied(self):
        popped = pop_all(self.box)
        self.pops += len(popped)
        assert sorted(ids(popped)) == sorted(ids(self.model))
        self.model.clear()

    @invariant()
    def counts_what_waits(self):
        assert len(self.box) == len(self.model)
        depths = Counter(one.agent for one in self.model)
        assert [self.box.depth(agent) for agent in AGENTS] == [depths[agent] for agent in AGENTS]


TestAgainstAModel = AgainstAModel.TestCase
TestAgainstAModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class TestBound:
    def test_more_than_the_bound_is_refused(self):
        box = Mailbox(bound=2)
        push(box, entry(), entry())
        with pytest.raises(QueueFull, match="2"):
            box.push(entry())
        assert (len(box), box.bound) == (2, 2)

    def test_what_was_accepted_before_is_taken_over_the_bound(self):
        box = Mailbox(bound=1)
        push(box, entry())
        box.push(entry(), force=True)
        assert len(pop_all(box)) == 2

    def test_room_that_is_made_is_used(self):
        box = Mailbox(bound=1)
        (first,) = push(box, entry())
        box.remove(first)
        push(box, entry())
        box.pop(AGENTS)
        push(box, entry())
        assert len(box) == 1

    def test_a_task_waits_once(self):
        box, one = Mailbox(), entry()
        box.push(one)
        with pytest.raises(AssertionError, match=one.task_id):
            box.push(one)

    def test_a_task_that_ran_may_wait_again(self):
        box, one = Mailbox(), entry()
        for _ in range(3):
            box.push(one)
            assert box.pop(AGENTS) is one
        assert len(box) == 0

    def test_what_left_is_forgotten(self):
        box, rng = Mailbox(bound=10), random.Random(1)
        for number in range(5_000):
            box.push(entry(f"tenant{number}", rng.randrange(PRIORITIES)))
            if len(box) > 5:
                if rng.random() < 0.5:
                    box.pop(AGENTS)
                else:
                    box.remove(rng.choice(list(box._entries)))
        lane = box._lanes["poet"]
        assert lane.kept == sum(map(len, lane.levels)) <= 100
        assert sum(map(len, box._finish)) <= 2 * 10 * PRIORITIES


class TestPriority:
    @given(st.lists(st.integers(0, 10), max_size=30))
    def test_higher_priorities_run_first(self, priorities):
        box = Mailbox(ageing=NEVER)
        push(box, *(entry(priority=priority) for priority in priorities))
        ran = [one.priority for one in pop_all(box)]
        assert ran == sorted(priorities, reverse=True)

    def test_one_tenant_s_tasks_of_one_priority_run_in_the_order_they_came(self):
        box = Mailbox(ageing=NEVER)
        came = push(box, *(entry() for _ in range(50)))
        assert ids(pop_all(box)) == came

    def test_only_tasks_of_agents_that_are_ready_run(self):
        box = Mailbox()
        poet, clerk = push(box, entry(priority=9, agent="poet"), entry(priority=1, agent="clerk"))
        assert box.pop([]) is None
        assert box.pop(["clerk"]).task_id == clerk
        assert box.pop(["clerk"]) is None
        assert box.pop(["poet"]).task_id == poet


steps = st.lists(
    st.sampled_from(["ada", "bob", "eve", "urgent ada", "idle bob", "run", "run"]), max_size=80
)


class TestFairness:
    @given(steps)
    def test_tenants_that_both_wait_are_served_alike(self, steps):
        """Start-time fair queueing: never more than two apart while both have work waiting."""
        box, waiting, lead = Mailbox(ageing=NEVER), Counter(), []
        for step in steps:
            if step == "run":
                popped = box.pop(AGENTS)
                if popped and popped.priority == 5:
                    waiting[popped.tenant] -= 1
                    lead.append(popped.tenant)
            else:
                mood, _, tenant = step.rpartition(" ")
                priority = {"urgent": 9, "idle": 1}.get(mood, 5)
                push(box, entry(tenant, priority))
                waiting[tenant] += priority == 5
            if min(waiting["ada"], waiting["bob"]) == 0:
                lead.clear()
            assert self.apart(lead) <= 2

    @staticmethod
    def apart(served):
        """Return how far two tenants were apart in any stretch of what was served."""
        level = highest = lowest = furthest = 0
        for tenant in served:
            level += {"ada": 1, "bob": -1}.get(tenant, 0)
            highest, lowest = max(highest, level), min(lowest, level)
            furthest = max(furthest, highest - lowest)
        return furthest

    def test_a_flood_does_not_delay_another_tenant(self):
        box = Mailbox(bound=2_000, ageing=NEVER)
        push(box, *(entry("ada") for _ in range(1_000)))
        for _ in range(100):
            box.pop(AGENTS)
        push(box, *(entry("bob") for _ in range(10)))
        soon = [box.pop(AGENTS).tenant for _ in range(22)]
        assert soon.count("bob") == 10

    def test_an_urgent_task_of_a_flood_does_not_put_others_behind_it(self):
        box = Mailbox(bound=2_000, ageing=NEVER)
        push(box, *(entry("ada", 1) for _ in range(1_000)))
        push(box, entry("ada", 9))
        assert box.pop(AGENTS).priority == 9
        (bob,) = push(box, entry("bob", 1))
        assert bob in [box.pop(AGENTS).task_id for _ in range(3)]

    def test_a_held_up_agent_does_not_put_newcomers_behind_a_flood(self):
        box = Mailbox(bound=2_000, ageing=NEVER)
        push(box, *(entry("ada", agent="poet") for _ in range(500)))
        push(box, *(entry("eve", agent="clerk") for _ in range(500)))
        for _ in range(500):  # the poet is down meanwhile
            assert box.pop(["clerk"]).tenant == "eve"
        (bob,) = push(box, entry("bob", agent="poet"))
        assert bob in [box.pop(AGENTS).task_id for _ in range(3)]

    def test_weight_counts(self):
        box = Mailbox(ageing=NEVER)
        push(box, *(entry("ada", weight=3.0) for _ in range(30)))
        push(box, *(entry("bob", weight=1.0) for _ in range(90)))
        ran = Counter(box.pop(AGENTS).tenant for _ in range(40))
        assert abs(ran["bob"] - 3 * ran["ada"]) <= 4

    def test_whoever_was_alone_owes_nothing_afterwards(self):
        box = Mailbox(ageing=NEVER)
        for task_id in push(box, *(entry("ada") for _ in range(100))):
            box.remove(task_id)
        push(box, *(entry("bob") for _ in range(10)))
        (ada,) = push(box, entry("ada"))
        assert ada in [box.pop(AGENTS).task_id for _ in range(2)]


class TestAgeing:
    @pytest.mark.parametrize("idle_looks", [0, 1, 2, 19])
    def test_the_lowest_priority_gets_a_twentieth_under_a_flood(self, idle_looks):
        """Looking in vain, while no agent is ready, does not use up its turn."""
        box = Mailbox(bound=10_000)
        push(box, *(entry("bob", 0) for _ in range(500)))
        push(box, *(entry("ada", 9) for _ in range(500)))
        ran = Counter()
        for _ in range(1_000):
            ran[box.pop(AGENTS).priority] += 1
            push(box, entry("ada", 9))
            for _ in range(idle_looks):
                assert box.pop([]) is None
        assert ran == {9: 950, 0: 1_000 / AGEING}

    def test_a_flood_gets_nothing_for_its_age(self):
        """It is older than whoever comes after it, and waits behind itself all the same."""
        box = Mailbox(bound=10_000)
        push(box, *(entry("bob") for _ in range(500)))
        for _ in range(AGEING - 1):
            box.pop(AGENTS)
        (ada,) = push(box, entry("ada"))
        assert box.pop(AGENTS).task_id == ada

    @given(st.lists(st.integers(0, 10), min_size=1, max_size=30), st.integers(2, 6))
    def test_nothing_waits_longer_than_its_elders_allow(self, priorities, ageing):
        box = Mailbox(bound=10_000, ageing=ageing)
        older = [entry("ada", priority) for priority in priorities]
        push(box, *older)
        ranks = {one.task_id: rank for rank, one in enumerate(older)}
        for pops in range(1, ageing * len(older) + 1):
            push(box, entry("eve", 10))
            rank = ranks.pop(box.pop(AGENTS).task_id, None)
            assert rank is None or pops <= ageing * (rank + 1)
        assert ranks == {}


class TestShare:
    def fill(self, box, tenant):
        while box.room_for(tenant):
            box.push(entry(tenant))
        with pytest.raises(QueueFull):
            box.push(entry(tenant))
        return box.held(tenant)

    @pytest.mark.parametrize(("bound", "share"), [(1, 1), (9, 9), (10, 9), (100, 90), (1000, 900)])
    def test_a_flood_fills_nine_tenths_and_few_places_whole(self, bound, share):
        assert self.fill(Mailbox(bound), "ada") == share

    def test_those_who_come_after_a_flood_find_room(self):
        box = Mailbox(bound=100)
        assert [self.fill(box, tenant) for tenant in TENANTS] == [90, 9, 1]

    def test_the_tenant_that_holds_its_share_is_named(self):
        box = Mailbox(bound=10)
        self.fill(box, "ada")
        with pytest.raises(QueueFull, match="9 tasks of tenant 'ada'"):
            box.push(entry("ada"))

    @given(st.lists(st.sampled_from(TENANTS), max_size=60), st.integers(0, 70))
    def test_room_says_how_many_more_fit(self, tenants, bound):
        box = Mailbox()
        push(box, *(entry(tenant) for tenant in tenants))
        box.bound, held = bound, box.held("ada")
        room = box.room("ada")
        assert self.fill(box, "ada") == held + room

    def test_a_lower_bound_leaves_those_who_wait(self):
        box = Mailbox(bound=10)
        push(box, *(entry() for _ in range(5)))
        box.bound = 3
        assert not box.room_for("bob")
        assert len(pop_all(box)) == 5
        assert box.room_for("bob")
        assert box._tenants == {}


class TestCharge:
    def ran(self, cost, pops=300):
        """Keep two of each waiting; return how often each ran."""
        box, ran = Mailbox(ageing=NEVER), Counter()
        push(box, *(entry(tenant) for tenant in ("ada", "bob") for _ in range(2)))
        for _ in range(pops):
            one = box.pop(AGENTS)
            ran[one.tenant] += 1
            box.charge(one.tenant, 5, cost[one.tenant] - 1.0)
            push(box, entry(one.tenant))
        return ran

    @pytest.mark.parametrize("cost", [3.0, 1.0, 0.25])
    def test_fairness_is_by_cost(self, cost):
        ran = self.ran({"ada": cost, "bob": 1.0})
        assert ran["bob"] == pytest.approx(cost * ran["ada"], rel=0.1)

    def test_nobody_overtakes_itself(self):
        box = Mailbox(ageing=NEVER)
        came = push(box, *(entry(weight=10.0) for _ in range(5)))
        box.charge("ada", 5, -45.0)
        came += push(box, *(entry(weight=10.0) for _ in range(5)))
        assert ids(pop_all(box)) == came

    def test_what_cost_less_makes_no_credit(self):
        box = Mailbox(ageing=NEVER)
        push(box, *(entry("ada") for _ in range(20)))
        box.charge("bob", 5, -1_000.0)
        box.charge("bob", 5, 9.5)
        (bob,) = push(box, entry("bob"))
        assert ids(pop_all(box)).index(bob) == 10


class TestAhead:
    kinds = st.tuples(st.sampled_from(TENANTS), st.integers(0, 10))

    @given(st.lists(kinds, max_size=30), kinds)
    def test_it_is_the_weight_of_what_runs_before(self, waiting, kind):
        box, one = Mailbox(ageing=NEVER), entry(*kind, weight=2.0)
        push(box, *(entry(who, level, weight=level + 0.5) for who, level in waiting))
        ahead, most = box.ahead(one), box.weight_of("poet")
        box.push(one)
        before = pop_all(box)
        assert ahead == sum(other.weight for other in before[: before.index(one)]) <= most

    def test_other_agents_do_not_count(self):
        box = Mailbox()
        push(box, entry(agent="clerk", weight=3.0), entry(agent="poet", weight=2.0))
        assert box.ahead(entry(priority=0)) == box.weight_of("poet") == 2
        assert (box.weight_of("nobody"), box.total_weight) == (0, 5)

    def test_sums_do_not_drift(self):
        box = Mailbox(bound=2_000)
        push(box, *(entry(weight=0.1) for _ in range(1_000)))
        pop_all(box)
        assert (box.total_weight, box.weight_of("poet")) == (0, 0)
