"""A supervisor by itself: what it tells, and what it makes durable first."""

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from actors import door as door_module
from actors.fleet import Fleet
from actors.hosting import Limits, groups_of
from actors.local import LocalHosts
from actors.supervisor import Supervisor
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
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from tests.support.processes import eventually
from tests.support.records import record
from tests.support.stage import CATALOG, services


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    """Look again at once for a shard that went away."""
    monkeypatch.setattr(door_module, "PAUSE", 0.001)


class Told(InMemoryJournal):
    """Decides about admissions and appends as a test says, then as its parent does."""

    def __init__(self, tables, shard):
        super().__init__(tables, shard)
        self.verdicts: list = []
        self.held: list = []
        self.hold = False

    def admit(self, task):
        future = asyncio.get_running_loop().create_future()
        if self.hold:
            self.held.append((future, super().admit, task))
            return future
        if not self.verdicts:
            return super().admit(task)
        verdict = self.verdicts.pop(0)
        if isinstance(verdict, Exception):
            future.set_exception(verdict)
        else:
            future.set_result(replace(verdict, task_id=verdict.task_id or task.task_id))
        return future

    def append(self, event, settlement=None):
        if not self.hold:
            return super().append(event, settlement)
        future = asyncio.get_running_loop().create_future()
        self.held.append((future, super().append, event))
        return future

    def let_go(self):
        """Do what was held up, and everything from now on at once."""
        self.hold = False
        for future, act, what in self.held:
            future.set_result(act(what).result())
        self.held.clear()

    @property
    def held_events(self):
        return [event for _, act, event in self.held if act.__name__ == "append"]


class Bench:
    """One supervisor without doors or orchestrator: requests are calls."""

    numbers = count()

    def __init__(self, stage, folder, limits=None):
        self.tables = JournalTables()
        self.journal = Told(self.tables, "system/0")
        self.supervisor = Supervisor(
            "system/0",
            CATALOG,
            self.journal,
            self.tables,
            limits=limits or Limits(),
            clock=SystemClock(),
        )
        self.ready = asyncio.Event()
        self.hosts = LocalHosts(CATALOG, services(stage), folder)

    async def start(self, on_ready):
        self.fleet = Fleet(
            "system/0",
            groups_of(CATALOG.team("system")),
            self.hosts,
            clock=SystemClock(),
            randomness=random.Random(1),
            on_ready=on_ready,
            on_down=self.supervisor.give_up,
        )
        await self.journal.open()
        await self.supervisor.start(self.fleet, "token")

    def task(self, name="test.echo", **fields):
        now = SystemClock().now()
        return record(**({"task_type": name, "accepted_at": now, "deadline": now + 20} | fields))

    def submit(self, task, wait=True):
        return asyncio.create_task(self.supervisor.handle("submit", [task.pack(), wait], None))

    async def kill(self, agent):
        """Kill the host of an agent, once it has one."""
        (slot,) = self.fleet._slots_of[agent]
        assert await eventually(lambda: slot.host and not slot.host.handle.died.done(), 5)
        await slot.host.handle.kill()

    async def cancel(self, task):
        return await self.supervisor.handle("cancel", task.task_id, None)


@asynccontextmanager
async def running(stage, folder, on_ready=None):
    bench = Bench(stage, folder)
    await bench.start(on_ready or bench.supervisor.dispatch)
    try:
        yield bench
    finally:
        stage.release.set()
        await bench.supervisor.stop(grace=1)


@pytest.fixture
async def bench(stage, tmp_path_factory):
    async with running(stage, Path(tmp_path_factory.mktemp("b"))) as one:
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
        ready = asyncio.Event()
        async with running(stage, tmp_path_factory.mktemp("b"), on_ready=ready.set) as bench:
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

    async def test_a_task_whose_agent_is_given_up_during_its_admission_ends(self, bench):
        bench.journal.hold = True
        asked = bench.submit(bench.task("frail.hold"))
        assert await eventually(lambda: bench.journal.held, 5)
        for _ in range(2):
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
        await bench.start(bench.supervisor.dispatch)
        tasks = [bench.task("frail.hold", params={"text": str(n)}) for n in range(4)]
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
        assert [task.task_id async for task, _ in left.unfinished()] == [
            task.task_id for task in tasks[2:]
        ]
        for one in asked[2:]:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        assert bench.supervisor.state == "down"

    async def test_what_does_not_end_in_time_is_handed_back(self, stage, tmp_path):
        bench = Bench(stage, tmp_path)
        await bench.start(bench.supervisor.dispatch)
        again, once = bench.task("test.hold"), bench.task("test.once", delivery="AT_MOST_ONCE")
        once = replace(once, delivery=Delivery.AT_MOST_ONCE)
        asked = [bench.submit(again), bench.submit(once)]
        for _ in asked:
            await stage.begun()
        await bench.supervisor.stop(grace=0)
        ended = await bench.tables.story(once.task_id)
        assert ended[-1].data["reason"] == "OUTCOME_UNKNOWN"
        story = await bench.tables.story(again.task_id)
        assert [event.kind for event in story] == [EventKind.ACCEPTED, EventKind.RETRY]
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
