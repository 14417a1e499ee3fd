"""Tasks from their acceptance to their end, through deaths, floods and successors."""

import asyncio

import pytest

from actors import orchestrator as orchestrator_module
from actors.hosting import Limits
from cartrita.clock import SystemClock, new_id
from cartrita.errors import (
    AgentUnavailable,
    QueueFull,
)
from cartrita.journal import EventKind
from cartrita.protocol.task import Delivery
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from tests.support.processes import eventually
from tests.support.records import ADA, record
from tests.support.stage import host_of, request, stage_tree

pytestmark = pytest.mark.usefixtures("hasty")


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
            ("test.hold", "EXACTLY_ONCE", "COMPLETED"),
            ("test.once", "EXACTLY_ONCE", "FAILED"),
        ],
    )
    async def test_the_caller_s_own_choice_wins(self, tree, stage, name, delivery, status):
        asked = begin(tree, name, delivery=Delivery(delivery))
        await stage.begun()
        await host_of(tree, "echo").kill()
        stage.release.set()
        assert (await asked)["status"] == status

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
        """Give what was asked of an agent whose hosts die and do not start any more."""
        running = [begin(tree, "frail.hold", str(n)) for n in range(2)]
        for _ in running:
            await stage.begun()
        waiting = [begin(tree, "frail.hold", f"waits {n}") for n in range(3)]
        assert await eventually(lambda: row_of(tree)["queueDepth"] == 3, 5)
        stage.broken = True
        await host_of(tree, "frail").kill()
        yield running + waiting
        stage.broken = False

    async def test_what_waited_or_ran_is_told_that_the_agent_is_down(self, given_up):
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
        states = {row["id"]: row["state"] for row in row_of(tree)["hosts"]}
        assert states["system/0.shared.0"] == "up"
        assert states["system/0.frail.0"] == "down"

    async def test_the_orchestrator_hears_of_it_and_has_it_tried_again(
        self, tree, stage, given_up, monkeypatch
    ):
        monkeypatch.setattr(orchestrator_module, "COOL_OFF", 0.05)
        await asyncio.gather(*given_up)
        trouble = {"supervisor": "system/0", "group": "frail", "state": "down"}
        assert await eventually(lambda: trouble in tree.orchestrator.snapshot()["troubles"], 5)
        stage.broken = False
        assert await eventually(lambda: row_of(tree)["hosts"][-1]["state"] != "down", 5)
        stage.release.set()
        assert (await begin(tree, "frail.hold"))["status"] == "COMPLETED"


class TestFull:
    async def test_beyond_the_bounds_tasks_are_refused_with_the_time_to_wait(self, stage):
        async with stage_tree(stage, limits=Limits(queue=2, concurrency=1)) as tree:
            running = begin(tree, "test.hold", "runs")
            await stage.begun()
            waiting = [begin(tree, "test.hold", f"waits {n}") for n in range(2)]
            assert await eventually(lambda: row_of(tree)["queueDepth"] == 2, 5)
            with pytest.raises(QueueFull, match="2 tasks wait already") as refused:
                await begin(tree, "test.hold", "too much")
            assert refused.value.retry_after >= 1
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
