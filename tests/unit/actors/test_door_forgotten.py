"""Tasks that are so long over that their events were forgotten."""

import pytest

from cartrita.clock import new_id
from cartrita.cost.price import nano
from cartrita.errors import NotFound
from cartrita.storage.runtime import Keep
from tests.support.records import ADA, EVE
from tests.support.stage import Stage, stage_tree, submit


@pytest.fixture
async def tree():
    async with stage_tree(Stage()) as tree:
        yield tree


@pytest.fixture
async def ended(tree):
    """Return the answer of a task, all events of which are forgotten since."""
    answer = await submit(tree.door, "test.spend", taskId=new_id())
    assert await tree.retention.forget(Keep(-1, -1, 1_000)) == 1
    assert await tree.tables.story(answer["taskId"]) == []
    return answer


async def test_how_it_ended_and_what_it_cost_is_still_told(tree, ended):
    found = await tree.door.get(ended["taskId"], ADA)

    assert (found["taskId"], found["status"]) == (ended["taskId"], "COMPLETED")
    assert found["metrics"]["tokensUsed"] == ended["metrics"]["tokensUsed"] == 16
    assert nano(found["metrics"]["costUsd"]) == nano(ended["metrics"]["costUsd"])
    assert "retention.events_days" in found["warnings"][0]
    assert "result" not in found


async def test_a_failure_keeps_its_code_and_its_reason(tree):
    answer = await submit(tree.door, "test.fail", "AgentFailed")
    await tree.retention.forget(Keep(-1, -1, 1_000))

    found = await tree.door.get(answer["taskId"], ADA, wait=1)

    assert (found["status"], found["errorCode"]) == ("FAILED", "AGENT_ERROR")


async def test_it_is_nobody_elses(tree, ended):
    for ask in (tree.door.get, tree.door.cancel):
        with pytest.raises(NotFound):
            await ask(ended["taskId"], EVE)
    with pytest.raises(NotFound):
        await anext(tree.door.events(ended["taskId"], EVE))


async def test_there_is_nothing_to_cancel(tree, ended):
    assert not await tree.door.cancel(ended["taskId"], ADA)


async def test_of_its_log_the_end_is_left(tree, ended):
    (last,) = [event async for event in tree.door.events(ended["taskId"], ADA)]

    assert (last["type"], last["taskId"]) == ("completed", ended["taskId"])
    assert last["data"]["status"] == "COMPLETED"
    assert [e async for e in tree.door.events(ended["taskId"], ADA, last["cursor"])] == []


async def test_it_does_not_run_again(tree, ended):
    again = await submit(tree.door, "test.spend", taskId=ended["taskId"])

    assert again == await tree.door.get(ended["taskId"], ADA)
    with pytest.raises(NotFound):
        await submit(tree.door, "test.spend", taskId=ended["taskId"], who=EVE)


async def test_once_everything_is_forgotten_there_is_no_such_task(tree, ended):
    assert await tree.retention.forget(Keep(-1, -1, -1)) == 1

    with pytest.raises(NotFound):
        await tree.door.get(ended["taskId"], ADA)
