"""Who gets into a shard's mailbox: room, fair shares, places in line, and deadlines."""

import asyncio

import pytest

from actors.admission import Admission, Work, closed, place_of
from actors.hosting import Limits
from cartrita.clock import ManualClock, new_id
from cartrita.errors import QueueFull, Reason, TaskTimeout
from cartrita.journal import EventKind
from cartrita.protocol.principal import Principal
from tests.support.bench import running
from tests.support.processes import eventually
from tests.support.records import ADA, EVE, NOW, record
from tests.support.stage import begin, stage_tree, submit

IDLE = Work(arriving=0, running=0, suspended=0, capacity=1)
BUSY = Work(arriving=0, running=1, suspended=0, capacity=1)


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def admission(clock):
    return Admission(Limits(queue=10, concurrency=1), clock)


def enter(admission, task, work=BUSY):
    """Check a task and let it wait."""
    weight = admission.weigh(task)
    admission.check(task, "poet", weight, work)
    admission.mailbox.push(admission.entry(task, "poet", weight), force=True)


def fill(admission, who=ADA, most=100, work=BUSY):
    """Let one user come until nobody more gets in; returns how many did."""
    for count in range(most):
        try:
            enter(admission, record(principal=who), work)
        except QueueFull:
            return count
    return most


class TestRoom:
    def test_one_user_alone_leaves_room_for_another(self, admission):
        mine = fill(admission)
        assert 5 <= mine < 10
        assert fill(admission, EVE, most=1) == 1

    def test_idle_places_are_room_too(self, admission):
        assert fill(admission, work=IDLE) > fill(Admission(admission.limits, ManualClock(NOW)))

    def test_what_is_on_its_way_in_and_what_waits_for_sub_tasks_takes_room(self, admission):
        for work in (Work(10, 1, 0, 1), Work(0, 1, 10, 1)):
            with pytest.raises(QueueFull, match="10 tasks wait"):
                enter(admission, record(), work)

    def test_a_sub_task_always_has_room(self, admission):
        fill(admission)
        enter(admission, record(parent=new_id(), depth=1))

    def test_the_refused_are_told_when_to_come(self, admission):
        fill(admission)
        with pytest.raises(QueueFull) as refused:
            enter(admission, record())
        assert refused.value.retry_after >= 1

    def test_new_bounds_hold_from_then_on(self, admission):
        fill(admission)
        admission.limit(queue=100, concurrency=1)
        assert fill(admission) > 50

    def test_who_comes_back_in_time_goes_before_who_comes_first(self, admission, clock):
        admission.rate.busy(True)
        for _ in range(40):  # so that it is known how fast tasks end
            clock.advance(0.5)
            admission.rate.count(clock.monotonic())
        fill(admission)
        patient = record(deadline=NOW + 1_000)
        with pytest.raises(QueueFull) as refused:
            enter(admission, patient)
        clock.advance(refused.value.retry_after)
        admission.mailbox.pop(["poet"])
        with pytest.raises(QueueFull):
            enter(admission, record(deadline=NOW + 1_000))
        enter(admission, patient)

    def test_a_place_is_the_key_s_where_there_is_one(self):
        keyed = [record(idempotency_key="k") for _ in range(2)]
        assert place_of(keyed[0]) == place_of(keyed[1])
        assert place_of(keyed[0]) != place_of(record(idempotency_key="k", principal=EVE))
        task = record()
        assert place_of(task) == task.task_id


class TestDeadline:
    def took(self, admission, seconds, task_type="test.echo"):
        for _ in range(20):
            admission.ended(record(task_type=task_type), "poet", seconds, seconds)

    def test_one_that_takes_longer_than_it_has_is_refused_at_once(self, admission):
        self.took(admission, 10.0)
        with pytest.raises(TaskTimeout) as refused:
            enter(admission, record(deadline=NOW + 5), IDLE)
        assert refused.value.reason == "DEADLINE_IMPOSSIBLE"
        assert refused.value.fields[0].field == "deadline"
        assert refused.value.retry_after == pytest.approx(5, abs=0.1)
        enter(admission, record(deadline=NOW + 15), IDLE)

    def test_what_waits_before_it_counts_and_what_waits_behind_it_does_not(self, admission):
        self.took(admission, 10.0)
        for _ in range(3):
            enter(admission, record())
        with pytest.raises(TaskTimeout, match=r"about 40\.0 s"):
            enter(admission, record(deadline=NOW + 35))
        enter(admission, record(deadline=NOW + 35, priority=9))

    def test_more_places_do_it_faster(self, admission):
        admission.limit(queue=10, concurrency=4)
        self.took(admission, 10.0)
        for _ in range(4):
            enter(admission, record())
        enter(admission, record(deadline=NOW + 25), Work(0, 4, 0, 4))

    def test_nothing_is_refused_for_what_is_not_known(self, admission):
        enter(admission, record(deadline=NOW + 0.1), IDLE)

    def test_a_sub_task_is_not_begun_in_vain_either(self, admission):
        self.took(admission, 10.0)
        with pytest.raises(TaskTimeout):
            enter(admission, record(deadline=NOW + 5, parent=new_id(), depth=1), IDLE)

    def test_other_types_of_the_agent_are_judged_by_their_own_time(self, admission):
        self.took(admission, 10.0, "test.slow")
        enter(admission, record(deadline=NOW + 5), IDLE)


class TestInTheTree:
    async def test_a_deadline_that_cannot_be_met_is_refused_and_not_journaled(self, tree):
        admission = tree.supervisors["system/0"].supervisor.admission
        for _ in range(10):
            admission.forecast.ended("test.echo", 60.0)
        task_id = new_id()
        with pytest.raises(TaskTimeout) as refused:
            await asyncio.wait_for(submit(tree.door, task_id=task_id, within=5), 1)
        assert refused.value.reason == "DEADLINE_IMPOSSIBLE"
        assert task_id not in tree.tables.stories

    async def test_a_flood_of_one_tenant_does_not_keep_another_out_or_waiting(self, stage):
        async with stage_tree(stage, limits=Limits(queue=20, concurrency=1)) as tree:
            flood, refused = [], 0
            first = begin(tree.door, "test.hold", "first")
            await stage.begun()
            for number in range(30):
                asked = begin(tree.door, "test.hold", f"flood {number}")
                await asyncio.wait([asked], timeout=0.005)
                flood.append(asked)
            refused = sum(asked.done() for asked in flood)
            assert 10 <= refused < 15
            others = [begin(tree.door, "test.hold", f"other {n}", who=EVE) for n in range(1)]
            supervisor = tree.supervisors["system/0"].supervisor
            assert await eventually(lambda: supervisor._mailbox.held("eve") == 1, 5)
            stage.release.set()
            answers = await asyncio.gather(first, *flood, *others, return_exceptions=True)
            assert sum(isinstance(answer, QueueFull) for answer in answers) == refused
            assert stage.played.index("other 0") <= 2

    async def test_tenants_take_turns(self, stage):
        limits = Limits(queue=100, concurrency=1)
        async with stage_tree(stage, limits=limits) as tree:
            asked = [begin(tree.door, "test.hold", "first")]
            await stage.begun()
            supervisor = tree.supervisors["system/0"].supervisor
            for tenant in ("a", "b", "c"):
                who = Principal(tenant, tenant)
                asked += [begin(tree.door, "test.hold", tenant, who=who) for _ in range(5)]
                waiting = len(asked) - 1
                assert await eventually(lambda: len(supervisor._mailbox) == waiting, 5)  # noqa: B023
            stage.release.set()
            await asyncio.gather(*asked)
            turns = stage.played[1:]
            for round_ in range(5):
                assert sorted(turns[3 * round_ : 3 * round_ + 3]) == ["a", "b", "c"]


class TestCancelBeforeItIsDurable:
    async def test_it_is_accepted_and_cancelled_and_never_runs(self, stage, tmp_path):
        async with running(stage, tmp_path) as bench:
            bench.journal.hold = True
            task = bench.task("test.hold")
            asked = bench.submit(task)
            assert await eventually(lambda: bench.journal.held, 5)
            assert await bench.cancel(task)
            assert not asked.done()
            bench.journal.let_go()
            assert (await asked)["status"] == "CANCELLED"
            kinds = [event.kind for event in await bench.tables.story(task.task_id)]
            assert kinds == [EventKind.ACCEPTED, EventKind.CANCELLED]
            assert stage.played == []

    async def test_its_end_is_durable_before_anybody_is_told(self, stage, tmp_path):
        async with running(stage, tmp_path) as bench:
            bench.journal.hold = True
            task = bench.task("test.hold")
            asked = bench.submit(task)
            assert await eventually(lambda: bench.journal.held, 5)
            await bench.cancel(task)
            (admitting, act, _), *_ = bench.journal.held
            bench.journal.held.clear()
            admitting.set_result(act(task).result())
            assert await eventually(lambda: bench.journal.held_events, 5)
            assert not asked.done()
            bench.journal.let_go()
            assert (await asked)["status"] == "CANCELLED"


@pytest.mark.parametrize(
    ("state", "halted", "reason"),
    [("draining", False, Reason.DRAINING), ("down", False, Reason.DRAINING),
     ("starting", False, None), ("up", True, None)],
)  # fmt: skip
def test_a_shard_that_goes_away_says_so(state, halted, reason):
    error = closed("system/0", state, halted=halted, fenced=False)
    assert error.reason == reason
    assert error.retry_after >= 1
