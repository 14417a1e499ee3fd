"""Whole stories from a tree that runs: what was used, who was lost, who was called."""

import asyncio

import pytest

from actors import fate as fate_module
from cartrita.clock import new_id
from cartrita.errors import InvalidParameters, NotFound
from cartrita.journal import EventKind
from cartrita.protocol.principal import Principal, Role
from tests.support.outside import Outside, kill_host, post_tree, posting
from tests.support.processes import eventually
from tests.support.records import ADA, EVE
from tests.support.stage import begin, host_with, stage_tree, submit
from tests.support.troupe import TROUPE

pytestmark = pytest.mark.usefixtures("hasty")


@pytest.fixture
async def tree(stage):
    async with stage_tree(stage, TROUPE) as one:
        yield one


async def ran(tree, stage, *args, **fields):
    """Run a task that waits for the test, and return its story."""
    stage.release.set()
    done = await submit(tree.door, *args, **fields)
    return await tree.storyteller.story(done["taskId"], ADA)


def kinds(tree, task_id):
    return [event.kind for event in tree.tables.stories[task_id]]


class TestUses:
    async def test_models_and_tools_are_told_with_what_they_took_and_cost(self, tree, stage):
        story = await ran(tree, stage, "make.it")
        calls = [
            (one["model"], one["tokensIn"], one["costUsd"], one["totalUsd"], one["durationMs"])
            for one in story["modelCalls"]
        ]
        assert calls == [("model/a", 10, 0.125, 0.125, 500.0), ("model/b", 1, 0.5, 0.625, 0.0)]
        (tool,) = story["toolCalls"]
        assert (tool["name"], tool["output"]) == ("calculator", "42")
        assert tool["input"] == {"expression": "6*7"}
        assert story["costs"]["usd"] == story["costs"]["totalUsd"] == 0.625
        assert story["costs"]["tokens"] == 16

    async def test_they_are_one_row_before_the_end_of_a_quick_task(self, tree, stage):
        story = await ran(tree, stage, "make.it")
        assert kinds(tree, story["taskId"]) == [
            EventKind.ACCEPTED,
            EventKind.USED,
            EventKind.COMPLETED,
        ]

    async def test_a_task_that_uses_nothing_costs_no_row(self, tree, stage):
        story = await ran(tree, stage, "test.echo")
        assert kinds(tree, story["taskId"]) == [EventKind.ACCEPTED, EventKind.COMPLETED]

    async def test_readers_of_its_events_are_not_shown_them(self, tree, stage):
        story = await ran(tree, stage, "make.it")
        seen = [event["type"] async for event in tree.door.events(story["taskId"], ADA)]
        assert seen == ["accepted", "queued", "started", "completed"]
        assert seen == [event["type"] for event in story["events"]]

    async def test_what_a_lost_attempt_used_is_known_and_paid_for(self, tree, stage):
        task_id = new_id()
        asked = begin(tree.door, "make.it", task_id=task_id)
        await stage.begun()
        await host_with(tree, task_id).kill()
        await stage.begun()
        stage.release.set()
        assert (await asked)["metrics"]["costUsd"] == 0.75
        story = await tree.storyteller.story(task_id, ADA)
        told = [(one["attempt"], one["model"]) for one in story["modelCalls"]]
        assert told == [(1, "model/a"), (2, "model/a"), (2, "model/b")]
        assert story["costs"]["lostUsd"] == 0.125
        assert story["costs"]["totalUsd"] == 0.75
        outcomes = [(one["outcome"], one["alone"]) for one in story["attempts"]]
        assert outcomes == [("lost", True), ("completed", None)]

    async def test_a_supervisor_that_dies_leaves_what_it_had_written(self, tree, stage):
        task_id = new_id()
        asked = begin(tree.door, "make.it", task_id=task_id)
        await stage.begun()
        assert await eventually(lambda: EventKind.USED in kinds(tree, task_id), 5)
        await tree.supervisors["system/0"].kill()
        await stage.begun()
        stage.release.set()
        await asyncio.wait_for(asked, 10)
        story = await tree.storyteller.story(task_id, ADA)
        attempts = [one["attempt"] for one in story["modelCalls"]]
        assert attempts == [1, 2, 2]
        assert [one["type"] for one in story["events"]][3:5] == ["reset", "started"]

    async def test_what_a_cancelled_attempt_had_used_is_told(self, tree, stage):
        task_id = new_id()
        asked = begin(tree.door, "make.it", task_id=task_id)
        await stage.begun()
        await tree.door.cancel(task_id, ADA)
        assert (await asked)["status"] == "CANCELLED"
        story = await tree.storyteller.story(task_id, ADA)
        assert [one["model"] for one in story["modelCalls"]] == ["model/a"]


class TestFamily:
    async def test_sub_tasks_are_told_as_a_tree(self, tree, stage):
        story = await ran(tree, stage, "call.task", "call.echo")
        (child,) = story["children"]
        (grandchild,) = child["children"]
        assert (child["taskType"], child["status"]) == ("call.echo", "COMPLETED")
        assert (grandchild["taskType"], grandchild["children"]) == ("test.echo", [])
        assert story["costs"]["childrenUsd"] == grandchild["costUsd"] == 0.25
        below = await tree.storyteller.story(child["taskId"], ADA)
        assert below["accepted"]["parent"] == story["taskId"]

    async def test_one_that_is_at_work_has_no_end(self, tree, stage):
        task_id = new_id()
        asked = begin(tree.door, "call.hold", task_id=task_id)
        await stage.begun()
        story = await tree.storyteller.story(task_id, ADA)
        (child,) = story["children"]
        assert (child["status"], child["endedAt"]) == ("PENDING", None)
        assert story["response"] is None
        stage.release.set()
        await asked


class TestWho:
    async def test_owners_and_administrators_hear_it_and_to_others_it_is_not_found(self, tree):
        task_id = (await submit(tree.door))["taskId"]
        admin = Principal("root", "root", Role.ADMIN)
        for who in (ADA, admin):
            assert (await tree.storyteller.story(task_id, who))["taskId"] == task_id
        with pytest.raises(NotFound, match=task_id):
            await tree.storyteller.story(task_id, EVE)
        with pytest.raises(NotFound):
            await tree.storyteller.story(new_id(), admin)

    async def test_of_a_story_that_was_forgotten_that_is_said_to_whom_it_belonged(self, tree):
        task_id = (await submit(tree.door))["taskId"]
        tree.tables.remnants[task_id] = await tree.tables.remnant(task_id)
        del tree.tables.stories[task_id]
        with pytest.raises(NotFound, match=r"was forgotten.*COMPLETED.*retention\.events_days"):
            await tree.storyteller.story(task_id, ADA)
        with pytest.raises(NotFound, match="of yours"):
            await tree.storyteller.story(task_id, EVE)

    async def test_what_is_no_cursor_is_refused_by_name(self, tree):
        task_id = (await submit(tree.door))["taskId"]
        with pytest.raises(InvalidParameters) as refused:
            await tree.storyteller.story(task_id, ADA, "later")
        assert refused.value.fields[0].field == "until"


class TestEffects:
    @pytest.fixture
    async def outside(self):
        return Outside()

    @pytest.fixture
    async def tree(self, outside, stage):
        async with post_tree(outside, stage) as one:
            yield one

    async def test_they_are_told_with_what_came_of_them(self, tree, outside):
        task_id, asked = posting(tree)(parameters={"text": "hi", "key": "eve"})
        await asked
        (effect,) = (await tree.storyteller.story(task_id, ADA))["effects"]
        assert (effect["name"], effect["key"], effect["state"]) == ("letter", "eve", "done")
        assert (effect["result"], effect["attempt"]) == ("receipt 1", 1)
        assert outside.arrived == {effect["effectId"]: 1}

    async def test_what_tries_a_task_again_tells_of_the_same(self, tree, stage, monkeypatch):
        monkeypatch.setattr(fate_module, "KILLS", 1)
        task_id, asked = posting(tree)("both")
        await stage.begun()
        stage.release.set()
        await stage.begun()
        await kill_host(tree)
        await asked
        again = (await tree.quarantine.retry(task_id, ADA))["taskId"]
        await tree.door.get(again, ADA, 5)
        one, other = [await tree.storyteller.story(x, ADA) for x in (task_id, again)]
        assert one["effects"][0]["effectId"] == other["effects"][0]["effectId"]
        assert other["accepted"]["retryOf"] == task_id
