"""Tasks that did not complete are tried again by their owners, each as one new task."""

import asyncio

import pytest

from cartrita.clock import new_id
from cartrita.cost.budget import Ceiling
from cartrita.errors import (
    AuthorizationFailed,
    InsufficientBudget,
    NotFound,
    NothingToRetry,
    StillRunning,
)
from cartrita.protocol.principal import Principal, Role
from cartrita.storage.memory_journal import remnant_of
from tests.support.records import ADA, EVE
from tests.support.stage import begin, host_with, stage_tree, submit

ROOT = Principal("root", "root", Role.ADMIN)


@pytest.fixture
async def tree(stage):
    async with stage_tree(stage) as one:
        yield one


async def lost(tree, stage, text="hello"):
    """Return a task of which nobody knows what it had done when its host died."""
    task_id = new_id()
    asked = begin(tree.door, "test.once", text, task_id=task_id)
    await stage.begun()
    await host_with(tree, task_id).kill()
    answer = await asked
    assert (answer["status"], answer["reason"]) == ("FAILED", "OUTCOME_UNKNOWN")
    return task_id


async def test_what_nobody_knows_of_is_tried_again_with_what_it_was_given(tree, stage):
    task_id = await lost(tree, stage, "again")
    told = await tree.retries.retry(task_id, ADA)
    assert (told["status"], told["retryOf"]) == ("PENDING", task_id)
    assert await stage.begun() == "again"
    stage.release.set()
    answer = await tree.door.get(told["taskId"], ADA, 5)
    assert (answer["status"], answer["result"]["text"]) == ("COMPLETED", "again")
    story = await tree.storyteller.story(told["taskId"], ADA)
    assert story["accepted"]["retryOf"] == task_id


async def test_however_often_it_is_asked_for_there_is_one_new_task(tree, stage):
    task_id = await lost(tree, stage)
    stage.release.set()
    told = await asyncio.gather(*(tree.retries.retry(task_id, ADA) for _ in range(5)))
    (new,) = {one["taskId"] for one in told}
    await tree.door.get(new, ADA, 5)
    assert await tree.retries.retry(task_id, ADA) == {
        "taskId": new, "status": "COMPLETED", "retryOf": task_id,
    }  # fmt: skip
    assert len(stage.played) == 2


async def test_the_retry_of_a_retry_is_another_task(tree, stage):
    first = await lost(tree, stage)
    second = (await tree.retries.retry(first, ADA))["taskId"]
    await stage.begun()
    await tree.door.cancel(second, ADA)
    assert (await tree.door.get(second, ADA, 5))["status"] == "CANCELLED"
    stage.release.set()
    third = (await tree.retries.retry(second, ADA))["taskId"]
    assert len({first, second, third}) == 3
    story = await tree.storyteller.story(third, ADA)
    assert story["accepted"]["retryOf"] == second


async def test_what_has_not_ended_or_completed_is_not_tried_again(tree, stage):
    task_id = new_id()
    asked = begin(tree.door, "test.hold", task_id=task_id)
    await stage.begun()
    with pytest.raises(StillRunning):
        await tree.retries.retry(task_id, ADA)
    stage.release.set()
    await asked
    with pytest.raises(NothingToRetry, match="nothing to try again"):
        await tree.retries.retry(task_id, ADA)


async def test_only_its_owner_has_a_task_tried_again(tree, stage):
    task_id = await lost(tree, stage)
    narrow = Principal(ADA.user, ADA.tenant, scopes=("tasks:other.*",))
    for who in (EVE, narrow):
        with pytest.raises(NotFound):
            await tree.retries.retry(task_id, who)
    with pytest.raises(AuthorizationFailed, match="owner"):
        await tree.retries.retry(task_id, ROOT)
    with pytest.raises(NotFound):
        await tree.retries.retry(new_id(), ADA)


async def test_one_that_was_refused_can_be_asked_for_again(tree, stage):
    failed = await submit(tree.door, "test.fail", "AgentFailed")
    await tree.budgets.set("user:ada", Ceiling(0), ROOT)
    with pytest.raises(InsufficientBudget):
        await tree.retries.retry(failed["taskId"], ADA)
    await tree.budgets.set("user:ada", Ceiling(10**9), ROOT)
    told = await tree.retries.retry(failed["taskId"], ADA)
    answer = await tree.door.get(told["taskId"], ADA, 5)
    assert (answer["status"], answer["errorCode"]) == ("FAILED", "AGENT_ERROR")


async def test_of_one_whose_story_was_forgotten_that_is_said(tree, stage):
    failed = (await submit(tree.door, "test.fail", "AgentFailed"))["taskId"]
    tree.tables.remnants[failed] = remnant_of(tree.tables.stories.pop(failed))
    with pytest.raises(NotFound, match="was forgotten: it ended FAILED"):
        await tree.retries.retry(failed, ADA)
    with pytest.raises(NotFound, match="no task"):
        await tree.retries.retry(failed, EVE)
