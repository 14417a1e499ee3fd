"""Sub-tasks whose text is shown as their parent's, and those only agents may call for."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from cartrita.catalog import Catalog
from cartrita.context import Context
from cartrita.declare import Agent, Needs, task
from cartrita.errors import InvalidTaskType
from cartrita.journal import TaskRecord
from cartrita.protocol.principal import Principal
from cartrita.stream import Token
from tests.support.records import ADA
from tests.support.stage import Said, Say, Stage, begin, host_with, stage_tree, submit
from tests.support.troupe import told


class Author(Agent, team="intelligence", needs=Needs(isolation="own"), pool=(0, 1)):
    """Writes, for other agents only."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @task("author.write", idempotent=True, hidden=True, timeout=20)
    async def write(self, params: Say, ctx: Context) -> AsyncIterator[Token | Said]:
        """Write the words, wait for the test after the first, tell them."""
        first, *rest = params.text.split()
        yield Token(f"{first} ")
        await self._stage.play(params.text)
        for word in rest:
            yield Token(f"{word} ")
        yield Said(text=params.text, attempt=ctx.attempt)


class Publisher(Agent, team="system"):
    """Has another write."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @task("publish.shown", idempotent=True, timeout=20)
    async def shown(self, params: Say, ctx: Context) -> Said:
        """Show what the other writes."""
        await ctx.token("By: ")
        return await ctx.call("author.write", params, into=Said, relay=True)

    @task("publish.silent", idempotent=True, timeout=20)
    async def silent(self, params: Say, ctx: Context) -> Said:
        """Show nothing."""
        return await ctx.call("author.write", params, into=Said)


@pytest.fixture
async def tree(stage):
    async with stage_tree(stage, Catalog.of([Author, Publisher])) as running:
        yield running


def task_of(tree, task_type):
    """Return the id of the task of a type."""
    records = [TaskRecord.from_wire(story[0].data) for story in tree.tables.stories.values()]
    (found,) = [record.task_id for record in records if record.task_type == task_type]
    return found


async def words(tree, task_id):
    events = await told(tree, task_id, ADA)
    return [event["data"]["text"] for event in events if event["type"] == "token"]


async def test_its_text_is_shown_as_its_parent_s_while_it_is_written(tree, stage):
    running = begin(tree.door, "publish.shown", "one two three")
    await stage.begun()
    heard = []
    async for event in tree.door.events(task_of(tree, "publish.shown"), ADA):
        if event["type"] == "token":
            heard.append(event["data"]["text"])
            if heard[-1].endswith("one "):
                stage.release.set()
    assert "".join(heard) == "By: one two three "
    assert (await running)["result"]["text"] == "one two three"


async def test_nothing_is_shown_where_that_is_not_asked_for(tree, stage):
    stage.release.set()
    answer = await submit(tree.door, "publish.silent", "one two")
    assert answer["result"]["text"] == "one two"
    assert await words(tree, answer["taskId"]) == []


async def test_what_it_writes_a_second_time_is_not_shown_again(tree, stage):
    running = begin(tree.door, "publish.shown", "one two")
    await stage.begun()
    await host_with(tree, task_of(tree, "author.write")).kill()
    await stage.begun()
    stage.release.set()
    answer = await asyncio.wait_for(running, 20)
    assert (answer["status"], answer["result"]["attempt"]) == ("COMPLETED", 2)
    shown = "".join(await words(tree, answer["taskId"]))
    assert shown.count("one") <= 1


async def test_only_agents_may_call_for_a_hidden_task(tree):
    with pytest.raises(InvalidTaskType, match=r"author\.write"):
        await submit(tree.door, "author.write", "one")


async def test_a_scope_for_the_parent_covers_the_hidden_part_of_it(tree, stage):
    stage.release.set()
    who = Principal("ada", "ada", scopes=("tasks:publish.*",))
    answer = await submit(tree.door, "publish.silent", "one", who=who)
    assert answer["status"] == "COMPLETED"


async def test_the_end_of_the_parent_ends_it(tree, stage):
    running = begin(tree.door, "publish.shown", "one two")
    await stage.begun()
    assert await tree.door.cancel(task_of(tree, "publish.shown"), ADA)
    assert await stage.cancelled() == "one two"
    assert (await running)["status"] == "CANCELLED"
