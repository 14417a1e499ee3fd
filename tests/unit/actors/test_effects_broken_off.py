"""Effects whose attempts are cancelled, fenced, or may not run again."""

import asyncio

import pytest

from cartrita.effects import State
from cartrita.storage.memory_journal import InMemoryJournal
from tests.support.outside import (
    UNKNOWN,
    Outside,
    ended,
    kill_host,
    kill_supervisor,
    post_tree,
    posting,
    row_of,
    stands,
)
from tests.support.processes import eventually
from tests.support.records import ADA

pytestmark = pytest.mark.usefixtures("restless")


@pytest.fixture
async def outside():
    return Outside()


@pytest.fixture
async def tree(outside, stage):
    async with post_tree(outside, stage) as running:
        yield running


@pytest.fixture
def post(tree):
    return posting(tree)


DEATHS = pytest.mark.parametrize("dies", [kill_host, kill_supervisor])


class TestCancelling:
    async def test_one_that_is_cancelled_in_the_middle_is_unknown(self, tree, post, outside):
        outside.lets_answer.clear()
        task_id, asked = post()
        await outside.taken()
        assert await tree.door.cancel(task_id, ADA)
        answer = await asked
        assert ended(answer) == ("CANCELLED", "TASK_CANCELLED", "OUTCOME_UNKNOWN")
        assert await stands(tree, task_id) is State.UNKNOWN

    async def test_before_it_may_begin_nothing_happens(self, tree, post, outside, stage):
        task_id, asked = post("both")
        await stage.begun()
        assert await tree.door.cancel(task_id, ADA)
        assert ended(await asked) == ("CANCELLED", "TASK_CANCELLED", None)
        assert tree.tables.effects == {}
        assert outside.arrived == {}

    async def test_an_answer_that_came_too_late_is_taken_back(self, tree, post, outside):
        ledger = tree.supervisors["system/0"]._ledger
        held, begin_now = [], ledger.begin

        def hold(intent):
            held.append((asyncio.get_running_loop().create_future(), intent))
            return held[0][0]

        ledger.begin = hold
        task_id, asked = post()
        assert await eventually(lambda: held, 5)
        begin_now(held[0][1])  # it was written, and the answer is on its way
        assert await tree.door.cancel(task_id, ADA)
        assert ended(await asked) == ("CANCELLED", "TASK_CANCELLED", None)
        assert held[0][0].cancelled()
        assert await stands(tree, task_id) is State.NOT_DONE
        assert outside.arrived == {}


class TestZombie:
    async def newer(self, tree):
        await InMemoryJournal(tree.tables, "system/0").open()

    async def test_a_supervisor_that_lost_its_shard_begins_nothing(
        self, tree, post, outside, stage
    ):
        old = tree.supervisors["system/0"]
        _, asked = post("both")
        await stage.begun()
        await self.newer(tree)
        stage.release.set()
        assert await asyncio.wait_for(old.died, 5) == "fenced"
        assert outside.arrived == {}
        assert tree.tables.effects == {}
        asked.cancel()

    async def test_and_ends_nothing_that_it_had_begun(self, tree, post, outside):
        old = tree.supervisors["system/0"]
        outside.lets_answer.clear()
        task_id, asked = post()
        await outside.taken()
        await self.newer(tree)
        outside.lets_answer.set()
        assert await asyncio.wait_for(old.died, 5) == "fenced"
        answer = await asked  # of the successor, which asks about it
        assert answer["result"]["text"] == "found"
        assert list(outside.arrived.values()) == [1]
        assert (await row_of(tree, task_id)).settled_by == "probe"


class TestAtMostOnce:
    """What may not run again is told what the ledger knows of what it did."""

    async def lost(self, tree, stage, post, dies, *, after):
        _, asked = post("both", delivery="AT_MOST_ONCE")
        await stage.begun()
        if after:
            stage.release.set()
            assert await stage.begun() == "after"
        await dies(tree)
        return await asked

    @DEATHS
    async def test_nothing(self, tree, stage, post, outside, dies):
        answer = await self.lost(tree, stage, post, dies, after=False)
        assert ended(answer) == ("FAILED", "AGENT_ERROR", "HOST_DIED")
        assert answer["retryable"]
        assert "no effect" in answer["errorMessage"]
        assert stage.played == ["before"]

    @DEATHS
    async def test_something(self, tree, stage, post, outside, dies):
        answer = await self.lost(tree, stage, post, dies, after=True)
        assert ended(answer) == ("FAILED", "AGENT_ERROR", "HOST_DIED")
        assert not answer["retryable"]
        assert "'letter'" in answer["errorMessage"]
        assert stage.played == ["before", "after"]

    @DEATHS
    async def test_nobody_knows(self, tree, post, outside, dies):
        outside.lets_answer.clear()
        _, asked = post(delivery="AT_MOST_ONCE")
        await outside.taken()
        await dies(tree)
        assert ended(await asked) == UNKNOWN
        assert outside.asked == []
