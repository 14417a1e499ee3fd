"""Tasks that call other tasks: whose they are, what they wait for, and how they end together."""

import asyncio

import pytest

from actors import family as family_module
from actors.hosting import Limits
from actors.intake import MAX_DEPTH
from cartrita.clock import derived_id, new_id
from cartrita.journal import EventKind, TaskRecord, fold
from cartrita.protocol.principal import Principal
from tests.support.processes import eventually
from tests.support.records import ADA
from tests.support.stage import begin, host_with, stage_tree, submit
from tests.support.troupe import TROUPE

pytestmark = pytest.mark.usefixtures("hasty")


@pytest.fixture
async def tree(stage):
    async with stage_tree(stage, TROUPE) as running:
        yield running


def records(tree):
    """Return every accepted task by its type."""
    stories = tree.tables.stories.values()
    return {r.task_type: r for r in (TaskRecord.from_wire(story[0].data) for story in stories)}


def status(tree, task_id):
    story = tree.tables.stories.get(task_id)
    return fold(story).status if story else None


class TestChild:
    async def test_its_result_is_a_value_to_its_parent(self, door):
        answer = await submit(door, "call.echo", "hi")
        assert answer["result"]["text"] == "heard hi"

    async def test_it_is_its_parent_s_principal_s_and_session_s(self, tree):
        who = Principal("ada", "tenant")
        fields = {"session_id": "s", "metadata": {"k": "v"}, "budget": {"maxUsd": 2}}
        fields["preferences"] = {"qualityLevel": "best"}
        answer = await submit(tree.door, "call.seen", who=who, **fields)
        expected = ["ada", "tenant", "s", "best", {"k": "v"}, 2.0, True]
        assert answer["result"]["text"] == str(expected)

    async def test_it_is_a_task_like_any_other_that_knows_its_parent(self, tree):
        request = begin(tree.door, "call.echo", priority=3)
        parent_id = (await request)["taskId"]
        found = records(tree)
        parent, child = found["call.echo"], found["test.echo"]
        assert (child.parent, child.depth, child.priority) == (parent_id, 1, 4)
        assert child.task_id == derived_id(parent_id, "0/test.echo")
        assert child.trace == parent.trace
        assert (await tree.door.get(child.task_id, ADA))["status"] == "COMPLETED"

    async def test_it_has_no_more_time_than_its_parent(self, tree):
        await submit(tree.door, "call.echo", within=5)
        found = records(tree)
        assert found["test.echo"].deadline == found["call.echo"].deadline

    async def test_it_may_have_less(self, tree, stage):
        running = begin(tree.door, "call.once", parameters={"text": "slow", "number": 1})
        await stage.begun()
        found = records(tree)
        assert found["away.hold"].deadline < found["call.once"].deadline
        answer = await running
        assert (answer["status"], answer["errorCode"]) == ("TIMEOUT", "TASK_TIMEOUT")

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("test.fail", "AgentFailed: AGENT_ERROR"),
            ("test.nothing", "InvalidTaskType: INVALID_TASK_TYPE"),
        ],
    )
    async def test_its_failure_is_an_error_to_its_parent(self, door, name, told):
        assert (await submit(door, "call.task", name))["result"]["text"] == told

    async def test_it_may_do_no_more_than_its_parent_s_principal_may(self, door):
        who = Principal("ada", "ada", scopes=("tasks:call.*",))
        answer = await submit(door, "call.task", "test.echo", who=who)
        assert answer["result"]["text"] == "AuthorizationFailed: AUTHORIZATION_FAILED"

    async def test_they_go_only_so_deep(self, tree):
        answer = await submit(tree.door, "call.deep")
        assert answer["result"]["text"] == f"{MAX_DEPTH} RESOURCE_LIMIT_EXCEEDED"
        depths = [TaskRecord.from_wire(s[0].data).depth for s in tree.tables.stories.values()]
        assert sorted(depths) == list(range(MAX_DEPTH + 1))

    async def test_one_attempt_calls_for_only_so_many(self, tree, monkeypatch):
        monkeypatch.setattr(family_module, "MOST_CALLS", 0)
        answer = await submit(tree.door, "call.task", "test.echo")
        assert answer["result"]["text"] == "ResourceLimitExceeded: RESOURCE_LIMIT_EXCEEDED"


class TestWaiting:
    async def test_more_parents_than_places_do_not_starve_their_children(self, stage):
        async with stage_tree(stage, TROUPE, limits=Limits(concurrency=2)) as tree:
            asked = [begin(tree.door, "call.echo", str(n)) for n in range(30)]
            answers = await asyncio.wait_for(asyncio.gather(*asked), 10)
            assert [answer["result"]["text"] for answer in answers] == [
                f"heard {n}" for n in range(30)
            ]
            shown = tree.supervisors["system/0"].supervisor.snapshot()
            assert (shown["inFlight"], shown["suspended"]) == (0, 0)
            assert sum(row["inFlight"] for row in shown["hosts"]) == 0

    async def test_a_place_is_given_back_while_the_parent_waits_and_taken_again(self, tree, stage):
        asked = [begin(tree.door, "call.hold", str(n)) for n in range(5)]  # it has two places
        for _ in asked:
            await stage.begun()
        shown = tree.supervisors["system/0"].supervisor.snapshot()
        assert (shown["inFlight"], shown["suspended"]) == (5, 5)
        stage.release.set()
        for answer in await asyncio.gather(*asked):
            assert answer["status"] == "COMPLETED"

    async def test_children_are_accepted_though_the_mailbox_is_full(self, stage):
        async with stage_tree(stage, TROUPE, limits=Limits(queue=1, concurrency=1)) as tree:
            parent = begin(tree.door, "call.hold", "child")
            assert await stage.begun() == "child"
            waiting = begin(tree.door, "test.echo")
            stage.release.set()
            assert (await parent)["status"] == "COMPLETED"
            await asyncio.gather(waiting, return_exceptions=True)


class TestEnds:
    async def test_a_cancelled_parent_takes_its_children_with_it(self, tree, stage):
        task_id = new_id()
        parent = begin(tree.door, "call.hold", "child", task_id=task_id)
        await stage.begun()
        child = derived_id(task_id, "0/test.hold")
        assert await tree.door.cancel(task_id, ADA)
        assert (await parent)["status"] == "CANCELLED"
        assert await stage.cancelled() == "child"
        assert await eventually(lambda: status(tree, child) == "CANCELLED", 5)

    async def test_also_those_that_run_in_another_team(self, tree, stage):
        task_id = new_id()
        parent = begin(tree.door, "call.once", "child", task_id=task_id)
        await stage.begun()
        await tree.door.cancel(task_id, ADA)
        assert (await parent)["status"] == "CANCELLED"
        assert await stage.cancelled() == "child"

    async def test_a_parent_that_ran_out_of_time_does_not_leave_them_behind(self, tree, stage):
        """Nor one that ended in any other way while they were at work."""
        parent = begin(tree.door, "call.once", "child", within=0.3)
        await stage.begun()
        assert (await parent)["status"] == "TIMEOUT"
        assert await stage.cancelled() == "child"

    async def test_after_a_host_s_death_the_next_attempt_finds_what_its_child_has_done(
        self, tree, stage
    ):
        task_id = new_id()
        stage.endless.add("after child")
        stage.release.set()
        parent = begin(tree.door, "call.hold", "child", task_id=task_id)
        assert await stage.begun() == "child"
        assert await stage.begun() == "after child"
        stage.endless.clear()
        await host_with(tree, task_id).kill()
        answer = await parent
        assert answer["result"] == {"text": "child 1", "attempt": 2}
        assert stage.played == ["child", "after child", "after child"]

    async def test_a_child_that_goes_on_meanwhile_answers_the_next_attempt(self, tree, stage):
        task_id = new_id()
        parent = begin(tree.door, "call.away", "child", task_id=task_id)
        assert await stage.begun() == "child"
        await host_with(tree, task_id).kill()
        again = derived_id(task_id, "0/away.hold")
        assert await eventually(lambda: len(tree.tables.stories[task_id]) == 2, 5)
        stage.release.set()
        answer = await parent
        assert (answer["status"], answer["result"]["attempt"]) == ("COMPLETED", 2)
        assert stage.played == ["child"]  # it was at work all the time
        assert (await tree.door.get(again, ADA))["metrics"]["retryCount"] == 0

    async def test_a_supervisor_s_death_costs_the_child_nothing_that_it_had_done(self, tree, stage):
        task_id = new_id()
        parent = begin(tree.door, "call.away", "child", task_id=task_id)
        assert await stage.begun() == "child"
        await tree.supervisors["system/0"].kill()
        stage.release.set()
        assert (await parent)["status"] == "COMPLETED"
        assert stage.played == ["child"]

    async def test_a_parent_that_may_not_run_twice_ends_with_its_host_and_its_child_with_it(
        self, tree, stage
    ):
        task_id = new_id()
        parent = begin(tree.door, "call.once", "child", task_id=task_id)
        await stage.begun()
        await host_with(tree, task_id).kill()
        assert (await parent)["reason"] == "OUTCOME_UNKNOWN"
        assert await stage.cancelled() == "child"

    async def test_waiting_for_a_child_is_no_ground_for_suspicion(self, tree, stage):
        """Others were at work on the host that died; it was not."""
        task_id = new_id()
        parent = begin(tree.door, "call.away", "child", task_id=task_id)
        await stage.begun()
        guilty = begin(tree.door, "test.once", "guilty")
        await stage.begun()
        await host_with(tree, task_id).kill()
        await guilty
        stage.release.set()
        assert (await parent)["status"] == "COMPLETED"
        story = await tree.tables.story(task_id)
        assert EventKind.RETRY not in [event.kind for event in story]
