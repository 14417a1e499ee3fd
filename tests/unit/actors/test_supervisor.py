"""Tasks from their acceptance to their end, through deaths, floods and successors."""

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
from cartrita.clock import SystemClock, new_id
from cartrita.errors import (
    AgentUnavailable,
    ChannelLost,
    IdempotencyMismatch,
    InsufficientBudget,
    InternalFailure,
    QueueFull,
    ServiceUnavailable,
    StaleEpoch,
)
from cartrita.journal import EventKind, Verdict
from cartrita.protocol.task import Delivery, TaskStatus
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from tests.support.processes import eventually
from tests.support.records import ADA, record, retried, started
from tests.support.stage import CATALOG, host_of, request, services, stage_tree


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    """Look again at once for a shard that went away."""
    monkeypatch.setattr(door_module, "PAUSE", 0.001)


def begin(tree, name, text="hello", wait=True, **fields):
    return asyncio.create_task(tree.door.submit(request(name, text, **fields), ADA, wait=wait))


async def kinds(tree, task_id):
    return [event.kind for event in await tree.tables.story(task_id)]


def row_of(tree, shard="system/0"):
    return tree.supervisors[shard].supervisor.snapshot()


class TestHostDeath:
    async def test_what_may_run_twice_runs_again(self, tree, stage):
        asked = begin(tree, "test.hold")
        await stage.begun()
        await host_of(tree, "echo").kill()
        assert await stage.begun() == "hello"
        stage.release.set()
        answer = await asked
        assert answer["status"] == "COMPLETED"
        assert answer["result"]["attempt"] == 2
        assert answer["metrics"]["retryCount"] == 1
        assert await kinds(tree, answer["taskId"]) == [
            EventKind.ACCEPTED,
            EventKind.RETRY,
            EventKind.COMPLETED,
        ]

    async def test_what_may_not_run_twice_ends_with_an_unknown_outcome(self, tree, stage):
        asked = begin(tree, "test.once")
        await stage.begun()
        await host_of(tree, "echo").kill()
        answer = await asked
        assert (answer["status"], answer["errorCode"]) == ("FAILED", "AGENT_ERROR")
        assert answer["reason"] == "OUTCOME_UNKNOWN"
        assert stage.played == ["hello"]
        assert await kinds(tree, answer["taskId"]) == [
            EventKind.ACCEPTED,
            EventKind.STARTED,
            EventKind.FAILED,
        ]

    @pytest.mark.parametrize(
        ("name", "delivery", "status"),
        [
            ("test.once", "AT_LEAST_ONCE", "COMPLETED"),
            ("test.hold", "AT_MOST_ONCE", "FAILED"),
            ("test.hold", "EXACTLY_ONCE", "FAILED"),
        ],
    )
    async def test_the_caller_s_own_choice_wins(self, tree, stage, name, delivery, status):
        asked = begin(tree, name, delivery=Delivery(delivery))
        await stage.begun()
        await host_of(tree, "echo").kill()
        stage.release.set()
        assert (await asked)["status"] == status

    @pytest.mark.parametrize("known_by", ["its actor", "its channel"])
    async def test_a_death_costs_one_attempt_and_the_last_ends_the_task(
        self, tree, stage, known_by
    ):
        asked = begin(tree, "test.hold")
        for _ in range(3):
            await stage.begun()
            host = host_of(tree, "echo")
            if known_by == "its actor":
                await host.kill()
            else:
                host._host._server.sessions.copy().pop().abort(ChannelLost("power cut"))
        answer = await asked
        assert (answer["status"], answer["errorCode"]) == ("FAILED", "AGENT_ERROR")
        assert answer["reason"] == "HOST_DIED"
        assert answer["metrics"]["retryCount"] == 2
        assert stage.played == ["hello"] * 3

    async def test_the_host_s_other_tasks_run_again_too_and_newcomers_are_served(self, tree, stage):
        asked = [begin(tree, "test.hold", str(n)) for n in range(5)]
        for _ in asked:
            await stage.begun()
        await host_of(tree, "echo").kill()
        stage.release.set()
        answers = await asyncio.gather(*asked, begin(tree, "test.echo"))
        assert [answer["status"] for answer in answers] == ["COMPLETED"] * 6
        assert row_of(tree)["inFlight"] == 0

    async def test_restarts_are_counted(self, tree, stage):
        await begin(tree, "test.echo")
        await host_of(tree, "echo").kill()
        await begin(tree, "test.echo")
        (host,) = [row for row in row_of(tree)["hosts"] if row["agents"] == ["echo"]]
        assert (host["restarts"], host["state"]) == (1, "up")


class TestGivenUp:
    @pytest.fixture
    async def given_up(self, tree, stage):
        """Give what was asked of an agent whose host dies more often than is allowed."""
        running = [begin(tree, "frail.hold", str(n)) for n in range(2)]
        for _ in running:
            await stage.begun()
        waiting = [begin(tree, "frail.hold", f"waits {n}") for n in range(3)]
        assert await eventually(lambda: row_of(tree)["queueDepth"] == 3, 5)
        await host_of(tree, "frail").kill()
        for _ in running:
            await stage.begun()
        await host_of(tree, "frail").kill()
        return running + waiting

    async def test_what_waited_is_told_that_the_agent_is_down(self, given_up):
        for asked in given_up:
            answer = await asyncio.wait_for(asked, 5)
            assert (answer["status"], answer["errorCode"]) == ("FAILED", "AGENT_UNAVAILABLE")
            assert answer["retryable"]

    async def test_what_comes_is_refused_and_the_rest_of_the_team_works(self, tree, given_up):
        await asyncio.gather(*given_up)
        with pytest.raises(AgentUnavailable, match="'frail'") as refused:
            await begin(tree, "frail.hold")
        assert refused.value.retry_after
        assert (await begin(tree, "test.echo"))["status"] == "COMPLETED"
        states = {row["agents"][0]: row["state"] for row in row_of(tree)["hosts"]}
        assert states == {"echo": "up", "frail": "down"}


class TestFull:
    async def test_beyond_the_bounds_tasks_are_refused_with_the_time_to_wait(self, stage):
        async with stage_tree(stage, limits=Limits(queue=2, concurrency=1)) as tree:
            running = begin(tree, "test.hold", "runs")
            await stage.begun()
            waiting = [begin(tree, "test.hold", f"waits {n}") for n in range(2)]
            assert await eventually(lambda: row_of(tree)["queueDepth"] == 2, 5)
            with pytest.raises(QueueFull, match="'system/0'") as refused:
                await begin(tree, "test.hold", "too much")
            assert 1 <= refused.value.retry_after <= 60
            stage.release.set()
            answers = await asyncio.gather(running, *waiting)
            assert [answer["status"] for answer in answers] == ["COMPLETED"] * 3
            assert (await begin(tree, "test.hold"))["status"] == "COMPLETED"
            assert "too much" not in stage.played

    async def test_a_full_queue_still_knows_its_own_tasks(self, stage):
        async with stage_tree(stage, limits=Limits(queue=1, concurrency=1)) as tree:
            task_id = new_id()
            running = begin(tree, "test.hold", task_id=task_id)
            await stage.begun()
            waiting = begin(tree, "test.hold", "waits")
            assert await eventually(lambda: row_of(tree)["queueDepth"] == 1, 5)
            again = begin(tree, "test.hold", task_id=task_id)
            stage.release.set()
            assert await again == await running
            await waiting

    async def test_what_is_urgent_runs_first(self, stage):
        async with stage_tree(stage, limits=Limits(concurrency=1)) as tree:
            running = begin(tree, "test.hold", "runs")
            await stage.begun()
            waiting = []
            for priority in (1, 9, 5):
                waiting.append(begin(tree, "test.hold", str(priority), priority=priority))
                depth = len(waiting)
                assert await eventually(lambda: row_of(tree)["queueDepth"] == depth, 5)  # noqa: B023
            stage.release.set()
            await asyncio.gather(running, *waiting)
            assert stage.played == ["runs", "9", "5", "1"]


class TestSupervisorDeath:
    async def kill(self, tree, shard="system/0"):
        await tree.supervisors[shard].kill()

    async def test_whoever_waits_gets_the_answer_from_the_successor(self, tree, stage):
        asked = begin(tree, "test.hold")
        await stage.begun()
        await self.kill(tree)
        assert await stage.begun() == "hello"
        stage.release.set()
        answer = await asked
        assert answer["status"] == "COMPLETED"
        assert row_of(tree)["epoch"] == 2
        assert row_of(tree)["restarts"] == 1

    async def test_what_waited_for_its_turn_is_taken_up(self, tree, stage):
        asked = [begin(tree, "frail.hold", str(n)) for n in range(6)]
        for _ in range(2):
            await stage.begun()
        assert await eventually(lambda: row_of(tree)["queueDepth"] == 4, 5)
        await self.kill(tree)
        stage.release.set()
        answers = await asyncio.gather(*asked)
        assert sorted(answer["result"]["text"] for answer in answers) == list("012345")

    async def test_what_had_started_and_may_not_run_twice_has_an_unknown_outcome(self, tree, stage):
        asked = begin(tree, "test.once")
        await stage.begun()
        await self.kill(tree)
        answer = await asked
        assert (answer["status"], answer["reason"]) == ("FAILED", "OUTCOME_UNKNOWN")
        assert stage.played == ["hello"]

    async def test_a_repeat_after_the_death_is_the_same_task(self, tree, stage):
        task_id = new_id()
        first = await begin(tree, "test.echo", task_id=task_id)
        await self.kill(tree)
        assert await begin(tree, "test.echo", task_id=task_id) == first

    async def test_a_key_outlives_its_supervisor(self, tree):
        first = await tree.door.submit(request(), ADA, wait=True, idempotency_key="k")
        await self.kill(tree)
        again = await tree.door.submit(request(), ADA, wait=True, idempotency_key="k")
        assert again == first

    async def test_many_deaths_lose_nothing_and_repeat_nothing(self, tree):
        """Killed again and again under load: each task has one end, and one answer."""
        answers = []

        async def client(number):
            for turn in range(10):
                text = f"{number}.{turn}"
                answers.append((text, await begin(tree, "test.echo", text)))

        clients = [asyncio.create_task(client(number)) for number in range(8)]
        for epoch in range(1, 5):
            assert await eventually(lambda: row_of(tree)["epoch"] == epoch, 10)  # noqa: B023
            assert await eventually(lambda: len(answers) >= 10 * epoch, 10)  # noqa: B023
            await self.kill(tree)
        await asyncio.gather(*clients)
        assert {text: answer["result"]["text"] for text, answer in answers} == {
            text: text for text, _ in answers
        }
        assert len(answers) == 80
        assert len(tree.tables.stories) == 80
        for story in tree.tables.stories.values():
            assert sum(event.kind.terminal for event in story) == 1

    async def test_an_orchestrator_s_stop_leaves_the_rest_to_the_next_tree(self, stage):
        tables = JournalTables()
        async with stage_tree(stage, tables=tables) as tree:
            accepted = await begin(tree, "test.hold", wait=False)
            await stage.begun()
            await tree.orchestrator.stop(grace=0)
        async with stage_tree(stage, tables=tables) as tree:
            answer = await tree.door.get(accepted["taskId"], ADA, wait=10)
            assert answer["status"] == "COMPLETED"

    async def test_a_task_nobody_declares_any_more_ends_and_stops_nobody(self, stage):
        tables = JournalTables()
        writer = InMemoryJournal(tables, "system/0")
        await writer.open()
        now = SystemClock().now()
        gone = record(task_type="removed.since", accepted_at=now, deadline=now + 60)
        moved = record(task_type="sleeper.echo", accepted_at=now, deadline=now + 60)
        for task in (gone, moved):
            await writer.admit(task)
        async with stage_tree(stage, tables=tables) as tree:
            for task in (gone, moved):
                answer = await tree.door.get(task.task_id, ADA, wait=5)
                assert (answer["status"], answer["errorCode"]) == ("FAILED", "AGENT_UNAVAILABLE")
            assert (await begin(tree, "test.echo"))["status"] == "COMPLETED"

    async def test_a_deadline_that_passed_meanwhile_has_passed(self, stage):
        tables = JournalTables()
        writer = InMemoryJournal(tables, "system/0")
        await writer.open()
        late = record(task_type="test.echo", deadline=SystemClock().now() - 1)
        await writer.admit(late)
        async with stage_tree(stage, tables=tables) as tree:
            answer = await tree.door.get(late.task_id, ADA, wait=5)
            assert (answer["status"], answer["errorCode"]) == ("TIMEOUT", "TASK_TIMEOUT")

    @pytest.mark.parametrize("before", [1, 2])
    async def test_attempts_count_across_deaths(self, stage, before):
        tables = JournalTables()
        writer = InMemoryJournal(tables, "system/0")
        await writer.open()
        task = record(task_type="test.hold", deadline=SystemClock().now() + 60)
        await writer.admit(task)
        for attempt in range(1, before + 1):
            await writer.append(retried(task, attempt))
        async with stage_tree(stage, tables=tables) as tree:
            for _ in range(3 - before):
                await stage.begun()
                await host_of(tree, "echo").kill()
            answer = await tree.door.get(task.task_id, ADA, wait=5)
            assert (answer["reason"], answer["metrics"]["retryCount"]) == ("HOST_DIED", 2)


class TestFence:
    async def test_a_zombie_is_refused_and_its_successor_answers(self, tree, stage):
        """Another incarnation takes the shard while the old one still serves."""
        asked = begin(tree, "test.hold")
        await stage.begun()
        zombie = tree.supervisors["system/0"]
        await InMemoryJournal(tree.tables, "system/0").open()
        stage.release.set()
        answer = await asked
        assert answer["status"] == "COMPLETED"
        assert zombie.supervisor.fenced.is_set()
        assert zombie.died.result() == "fenced"
        story = await tree.tables.story(answer["taskId"])
        assert (story[0].epoch, story[-1].epoch) == (1, 3)

    async def test_a_newcomer_at_a_zombie_s_door_is_served_by_the_successor(self, tree):
        await begin(tree, "test.echo")
        await InMemoryJournal(tree.tables, "system/0").open()
        assert (await begin(tree, "test.echo"))["status"] == "COMPLETED"


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
        await bench.journal.append(
            type(started(task)).end(task.task_id, TaskStatus.CANCELLED, theirs)
        )
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
