"""A supervisor by itself: what it tells, and what it makes durable first."""

import asyncio
import random
from dataclasses import replace

import pytest

from cartrita.clock import SystemClock
from cartrita.errors import (
    IdempotencyMismatch,
    InsufficientBudget,
    InternalFailure,
    ServiceUnavailable,
    StaleEpoch,
)
from cartrita.journal import Event, EventKind, Verdict
from cartrita.protocol.task import Delivery, TaskStatus
from cartrita.storage.memory_journal import InMemoryJournal
from tests.support.bench import Bench, running
from tests.support.processes import eventually

pytestmark = pytest.mark.usefixtures("hasty")


@pytest.fixture
async def bench(stage, tmp_path_factory):
    async with running(stage, tmp_path_factory.mktemp("b")) as one:
        yield one


class TestVerdicts:
    async def test_a_mismatch_names_the_task_that_has_the_key(self, bench):
        bench.journal.verdicts = [Verdict("mismatch", "the-other")]
        with pytest.raises(IdempotencyMismatch, match="the-other"):
            await bench.submit(bench.task())

    async def test_a_budget_without_room_says_which_and_until_when(self, bench):
        resets = SystemClock().now() + 100
        bench.journal.verdicts = [Verdict("budget", "", "user:ada", resets)]
        with pytest.raises(InsufficientBudget, match="'user:ada'") as refused:
            await bench.submit(bench.task())
        assert refused.value.retry_after == pytest.approx(100, abs=5)

    async def test_a_budget_that_never_resets_says_nothing_of_later(self, bench):
        bench.journal.verdicts = [Verdict("budget", "", "user:ada")]
        with pytest.raises(InsufficientBudget) as refused:
            await bench.submit(bench.task())
        assert refused.value.retry_after is None

    async def test_a_task_that_was_refused_may_come_again(self, bench):
        bench.journal.verdicts = [ServiceUnavailable("away"), Verdict("budget", "", "user:ada")]
        task = bench.task()
        with pytest.raises(ServiceUnavailable):
            await bench.submit(task)
        with pytest.raises(InsufficientBudget):
            await bench.submit(task)
        assert (await bench.submit(task))["status"] == "COMPLETED"

    async def test_all_who_wait_for_one_admission_are_told_of_its_refusal(self, bench):
        bench.journal.verdicts = [ServiceUnavailable("away")]
        task = bench.task()
        asked = [bench.submit(task, wait=wait) for wait in (True, False, True)]
        for one in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(one, ServiceUnavailable)

    async def test_a_task_that_is_known_and_has_no_story_is_a_defect(self, bench):
        bench.journal.verdicts = [Verdict("known", "")]
        with pytest.raises(InternalFailure, match="no story"):
            await bench.submit(bench.task())

    async def test_a_task_of_another_shard_is_told_as_it_stands(self, bench):
        task = bench.task()
        other = InMemoryJournal(bench.tables, "system/1")
        await other.open()
        await other.admit(task)
        for wait in (True, False):
            answer = await bench.submit(task, wait=wait)
            assert answer == {"taskId": task.task_id, "status": "PENDING"}

    async def test_a_method_nobody_knows_is_refused(self, bench):
        with pytest.raises(InternalFailure, match="'dance'"):
            await bench.supervisor.handle("dance", None, None)


class TestDurability:
    async def admitted(self, bench, task):
        """Submit a task and hold up whatever is written once it is accepted."""
        asked = bench.submit(task)
        await bench.submit(task, wait=False)
        bench.journal.hold = True
        return asked

    async def test_nobody_is_told_of_an_end_that_is_not_durable(self, bench):
        asked = await self.admitted(bench, bench.task())
        assert await eventually(lambda: bench.journal.held_events, 5)
        assert not asked.done()
        bench.journal.let_go()
        assert (await asked)["status"] == "COMPLETED"

    async def test_what_may_not_run_twice_does_not_run_before_its_start_is_durable(
        self, bench, stage
    ):
        asked = await self.admitted(bench, bench.task("test.once", delivery=Delivery.AT_MOST_ONCE))
        assert await eventually(lambda: bench.journal.held_events, 5)
        assert [event.kind for event in bench.journal.held_events] == [EventKind.STARTED]
        assert stage.played == []
        bench.journal.let_go()
        await stage.begun()
        stage.release.set()
        assert (await asked)["status"] == "COMPLETED"

    async def test_an_end_that_was_written_by_somebody_else_is_the_one_that_is_told(
        self, bench, stage
    ):
        task = bench.task("test.hold")
        asked = bench.submit(task)
        await stage.begun()
        theirs = {"taskId": task.task_id, "status": "CANCELLED", "metrics": {}}
        await bench.journal.append(Event.end(task.task_id, TaskStatus.CANCELLED, theirs))
        stage.release.set()
        assert await asked == theirs

    async def test_a_task_whose_end_is_on_its_way_cannot_be_cancelled(self, bench):
        task = bench.task()
        asked = await self.admitted(bench, task)
        assert await eventually(lambda: bench.journal.held_events, 5)
        assert not await bench.cancel(task)
        bench.journal.let_go()
        assert (await asked)["status"] == "COMPLETED"
        assert not await bench.cancel(task)

    async def test_a_writer_that_was_overtaken_fences_its_supervisor(self, bench):
        await InMemoryJournal(bench.tables, "system/0").open()
        with pytest.raises(StaleEpoch):
            await bench.submit(bench.task())
        assert bench.supervisor.fenced.is_set()
        with pytest.raises(StaleEpoch):
            await bench.submit(bench.task())


class TestRaces:
    async def test_a_task_cancelled_between_its_dispatch_and_its_start_gives_back_its_place(
        self, stage, tmp_path_factory
    ):
        class Quiet:
            """Keeps to itself that hosts are ready."""

            def __init__(self, supervisor):
                self.waiting, self.service = supervisor.waiting, supervisor.service

            def dispatch(self):
                pass

        async with running(stage, tmp_path_factory.mktemp("b"), Quiet) as bench:
            task, other = bench.task("test.hold"), bench.task()
            asked = bench.submit(task)
            assert await eventually(lambda: bench.supervisor.snapshot()["queueDepth"], 5)
            assert await eventually(lambda: "echo" in bench.fleet.ready(), 5)
            bench.supervisor.dispatch()
            assert await bench.cancel(task)
            answer = await asyncio.wait_for(asked, 5)
            assert answer["status"] == "CANCELLED"
            assert stage.played == []
            assert bench.supervisor.snapshot()["inFlight"] == 0
            assert (await bench.submit(other))["status"] == "COMPLETED"

    async def test_starting_and_cancelling_a_thousand_times_leaves_nothing_running(
        self, bench, stage
    ):
        rng = random.Random(7)

        async def one():
            task = bench.task("test.hold")
            asked = bench.submit(task, wait=False)
            await asked
            for _ in range(rng.randrange(6)):
                await asyncio.sleep(0)
            cancelled = await bench.cancel(task)
            answer = await bench.supervisor.handle("await", task.task_id, None)
            if answer is None:
                answer = (await bench.tables.story(task.task_id))[-1].data
            return cancelled, answer["status"]

        for _ in range(20):
            ends = await asyncio.gather(*(one() for _ in range(50)))
            assert set(ends) == {(True, "CANCELLED")}
        shown = bench.supervisor.snapshot()
        assert (shown["inFlight"], shown["queueDepth"]) == (0, 0)
        assert sum(row["inFlight"] for row in shown["hosts"]) == 0

    async def test_a_task_whose_agent_is_given_up_during_its_admission_ends(self, bench, stage):
        bench.journal.hold = True
        asked = bench.submit(bench.task("frail.hold"))
        assert await eventually(lambda: bench.journal.held, 5)
        stage.broken = True
        await bench.kill("frail")
        assert await eventually(lambda: bench.fleet.given_up("frail"), 5)
        bench.journal.let_go()
        answer = await asyncio.wait_for(asked, 5)
        assert (answer["status"], answer["errorCode"]) == ("FAILED", "AGENT_UNAVAILABLE")

    @pytest.mark.parametrize("order", ["cancelled first", "killed first"])
    async def test_a_task_that_is_cancelled_as_its_host_dies_does_not_run_again(
        self, bench, stage, order
    ):
        task = bench.task("test.hold")
        asked = bench.submit(task)
        await stage.begun()
        acts = [bench.cancel(task), bench.kill("echo")]
        await asyncio.gather(*(acts if order == "cancelled first" else reversed(acts)))
        assert (await asked)["status"] == "CANCELLED"
        assert (await bench.submit(bench.task()))["status"] == "COMPLETED"
        assert stage.played == ["hello"]
        assert bench.supervisor.snapshot()["inFlight"] == 0


class TestDrain:
    async def test_what_runs_may_end_and_what_waits_is_left_to_the_journal(self, stage, tmp_path):
        bench = Bench(stage, tmp_path)
        await bench.start()
        tasks = [bench.task("frail.hold", str(n)) for n in range(4)]
        asked = [bench.submit(task) for task in tasks]
        for _ in range(2):
            await stage.begun()
        stopping = asyncio.create_task(bench.supervisor.stop(grace=5))
        assert await eventually(lambda: bench.supervisor.state == "draining", 5)
        with pytest.raises(ServiceUnavailable, match="draining"):
            await bench.submit(bench.task())
        stage.release.set()
        await stopping
        assert [one.done() for one in asked] == [True, True, False, False]
        left = InMemoryJournal(bench.tables, "system/0")
        await left.open()
        assert [task.task_id async for task, *_ in left.unfinished()] == [
            task.task_id for task in tasks[2:]
        ]
        for one in asked[2:]:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        assert bench.supervisor.state == "down"

    async def test_what_does_not_end_in_time_is_handed_back(self, stage, tmp_path):
        bench = Bench(stage, tmp_path)
        await bench.start()
        again, once = bench.task("test.hold"), bench.task("test.once", delivery="AT_MOST_ONCE")
        once = replace(once, delivery=Delivery.AT_MOST_ONCE)
        asked = [bench.submit(again), bench.submit(once)]
        for _ in asked:
            await stage.begun()
        await bench.supervisor.stop(grace=0)
        ended = await bench.tables.story(once.task_id)
        assert ended[-1].data["reason"] == "OUTCOME_UNKNOWN"
        (accepted,) = await bench.tables.story(again.task_id)  # nobody is to blame
        assert accepted.kind is EventKind.ACCEPTED
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
