"""Tasks that wait for a person before they change the outside world, through the whole tree."""

import asyncio

import pytest

from cartrita.approvals import Verdict
from cartrita.clock import new_id
from cartrita.effects import State
from cartrita.errors import AlreadyDecided, NotFound
from cartrita.protocol.principal import Principal, Role
from tests.support.approvals import Bureau
from tests.support.processes import eventually
from tests.support.records import ADA, EVE
from tests.support.scripted_model import ScriptedModels, called, said
from tests.support.stage import begin, host_with

pytestmark = pytest.mark.usefixtures("restless")

AGENT = "langchain.agent.execute"
ROOT = Principal("root", "root", Role.ADMIN)


@pytest.fixture
def bureau():
    return Bureau(ScriptedModels(called("send", text="hello"), said("Done.")))


@pytest.fixture
async def tree(bureau, monkeypatch, stage):
    async with bureau.tree(monkeypatch, stage) as running:
        yield running


@pytest.fixture
def asking(tree):
    """Return what begins a task that will ask; gives its id and its end to come."""

    def begins(**fields):
        task_id = new_id()
        options = {"parameters": {"input": "Write to her"}, "within": 30, "task_id": task_id}
        return task_id, begin(tree.door, AGENT, **(options | fields))

    return begins


async def asked(tree, number=1):
    """Wait until so many questions are pending and return them."""
    questions = tree.questions

    def pending():
        verdicts = [questions._seen(row).verdict for row in questions._kept.values()]
        return verdicts.count(Verdict.PENDING) == number

    assert await eventually(pending, 10)
    return await tree.approvals.list(ROOT)


async def ended(running):
    return await asyncio.wait_for(running, 20)


def supervisor_of(tree):
    return tree.supervisors["intelligence/0"]


async def test_nothing_happens_before_somebody_approves(tree, bureau, asking):
    task_id, running = asking()
    (row,) = await asked(tree)
    assert (row["taskId"], row["tool"], row["input"]) == (task_id, "send", {"text": "hello"})
    assert (row["taskType"], row["user"], row["state"]) == (AGENT, "ada", "pending")
    assert bureau.post.sent == []

    told = await tree.approvals.decide(row["approvalId"], ADA, "approve", "As agreed.")

    assert (told["state"], told["decidedBy"], told["reason"]) == ("approved", "ada", "As agreed.")
    answer = await ended(running)
    assert answer["result"]["output"] == "Done."
    assert [step["output"] for step in answer["result"]["intermediateSteps"]] == ["sent 1"]
    assert bureau.post.sent == [("ada", "hello")]


async def test_what_was_approved_and_then_refused_certainly_did_not_happen(tree, bureau, asking):
    bureau.models.model.script[0] = called("send", text="nothing")
    task_id, running = asking()
    (row,) = await asked(tree)
    await tree.approvals.decide(row["approvalId"], ADA, "approve")
    (step,) = (await ended(running))["result"]["intermediateSteps"]
    assert (step["failed"], step["output"]) == (True, "there is nothing to send")
    (effect,) = await tree.effects.list(ADA, State.NOT_DONE)
    assert effect["taskId"] == task_id


async def test_an_approval_is_for_what_was_seen_though_a_provider_numbers_calls_anew(
    tree, bureau, asking
):
    bureau.models.model.script[:1] = [called("send", text="nothing"), called("send", text="evil")]
    _, running = asking()
    (first,) = await asked(tree)
    await tree.approvals.decide(first["approvalId"], ADA, "approve")
    (second,) = await asked(tree)
    assert second["input"] == {"text": "evil"}
    assert bureau.post.sent == []
    await tree.approvals.decide(second["approvalId"], ADA, "deny")
    assert (await ended(running))["status"] == "COMPLETED"


async def test_what_is_denied_does_not_happen_and_the_model_is_told_why(tree, bureau, asking):
    _, running = asking()
    (row,) = await asked(tree)
    await tree.approvals.decide(row["approvalId"], ROOT, "deny", "Not on Sundays.")
    answer = await ended(running)
    (step,) = answer["result"]["intermediateSteps"]
    assert step["failed"]
    assert step["output"] == "root denied the use of send: Not on Sundays."
    assert bureau.post.sent == []


async def test_the_task_s_log_tells_of_the_question_and_the_answer(tree, asking):
    task_id, running = asking()
    (row,) = await asked(tree)
    await tree.approvals.decide(row["approvalId"], ADA, "approve")
    await ended(running)
    events = [event async for event in tree.door.events(task_id, ADA)]
    texts = [event["data"]["text"] for event in events if event["type"] == "progress"]
    assert texts == [
        f"Waits for approval {row['approvalId']} of send.",
        "send was approved by ada.",
    ]


async def test_a_task_that_waits_holds_no_place(tree, bureau, asking):
    bureau.models.model.script[:0] = [called("send", text="hello")] * 19
    runs = [asking() for _ in range(20)]  # more than the sixteen places of the agent's one worker
    rows = await asked(tree, 20)
    attempts = supervisor_of(tree).supervisor._attempts
    assert await eventually(lambda: (attempts.running, attempts.suspended) == (0, 20), 5)
    for row in rows:
        await tree.approvals.decide(row["approvalId"], ADA, "deny")
    for _, running in runs:
        assert (await ended(running))["status"] == "COMPLETED"
    assert (attempts.running, attempts.suspended) == (0, 0)


@pytest.mark.parametrize("dies", ["host", "supervisor"])
async def test_the_question_outlives_whoever_asked_it(tree, bureau, asking, dies):
    task_id, running = asking()
    (row,) = await asked(tree)
    if dies == "host":
        await host_with(tree, task_id).kill()
    else:
        await supervisor_of(tree).kill()
    await tree.approvals.decide(row["approvalId"], ADA, "approve")
    answer = await ended(running)
    assert answer["status"] == "COMPLETED", answer
    assert bureau.post.sent == [("ada", "hello")]
    assert len(bureau.models.model.asked) == 2  # what to do was not thought up again
    assert len(await tree.approvals.list(ROOT, "approved")) == 1


async def test_a_task_that_is_decided_about_while_nobody_runs_it_goes_on(tree, bureau, asking):
    task_id, running = asking()
    (row,) = await asked(tree)
    await tree.approvals.decide(row["approvalId"], ADA, "approve")
    await host_with(tree, task_id).kill()
    assert (await ended(running))["status"] == "COMPLETED"
    assert bureau.post.sent == [("ada", "hello")]


async def test_nobody_but_the_owner_and_administrators_sees_it_or_decides(tree, bureau, asking):
    _, running = asking()
    (row,) = await asked(tree)
    assert await tree.approvals.list(EVE) == []
    with pytest.raises(NotFound):
        await tree.approvals.decide(row["approvalId"], EVE, "approve")
    with pytest.raises(NotFound):
        await tree.approvals.decide(new_id(), ADA, "approve")
    assert len(await tree.approvals.list(ADA)) == 1
    assert bureau.post.sent == []
    await tree.approvals.decide(row["approvalId"], ROOT, "deny")
    await ended(running)


async def test_a_decision_is_final_and_noted(tree, asking):
    _, running = asking()
    (row,) = await asked(tree)
    await tree.approvals.decide(row["approvalId"], ADA, "deny")
    await ended(running)
    with pytest.raises(AlreadyDecided, match="is denied already, by ada"):
        await tree.approvals.decide(row["approvalId"], ROOT, "approve")
    entries = await tree.audit.entries(10, None)
    assert [(entry.actor, entry.outcome) for entry in entries] == [
        ("root", "refused: denied before"),
        ("ada", "deny"),
    ]


async def test_a_question_is_over_with_its_task(tree, bureau, asking):
    task_id, running = asking()
    (row,) = await asked(tree)
    assert await tree.door.cancel(task_id, ADA)
    assert (await ended(running))["status"] == "CANCELLED"
    assert await tree.approvals.list(ADA) == []
    with pytest.raises(AlreadyDecided, match="is expired already"):
        await tree.approvals.decide(row["approvalId"], ADA, "approve")
    assert bureau.post.sent == []


async def test_a_task_whose_deadline_passes_while_it_waits_is_timed_out(tree, bureau, asking):
    task_id, running = asking(within=1.0)
    await asked(tree)
    assert (await ended(running))["status"] == "TIMEOUT"
    (row,) = await tree.approvals.list(ADA, Verdict.EXPIRED)
    assert row["taskId"] == task_id
    assert bureau.post.sent == []
