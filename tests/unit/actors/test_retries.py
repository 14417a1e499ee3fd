"""Attempts that failed on the network, and those that follow them."""

import asyncio
from decimal import Decimal

import pytest

from actors import attempt as module
from cartrita.catalog import Catalog
from cartrita.clock import new_id
from cartrita.context import Context, Usage
from cartrita.declare import Agent, task
from cartrita.errors import AgentFailed, NetworkFailed, NotDone
from cartrita.journal import EventKind, fold
from tests.support.processes import eventually
from tests.support.records import ADA
from tests.support.stage import Echo, Said, Say, Stage, begin, stage_tree, submit
from tests.support.troupe import told


class Flaky(Agent, team="system"):
    """Fails as often as it is told, and then works."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @task("flaky.work", timeout=20, max_attempts=4)
    async def work(self, params: Say, ctx: Context) -> Said:
        """Use a model; fail on the network on so many attempts."""
        self._stage.played.append(params.text)
        ctx.spent(Usage("model/a", 10, 5, Decimal("0.125")))
        if ctx.attempt <= params.number:
            raise NotDone("down") if params.text == "effect" else NetworkFailed("down")
        return Said(text=params.text, attempt=ctx.attempt)

    @task("flaky.slow", timeout=20)
    async def slow(self, params: Say, ctx: Context) -> Said:
        """Fail once, and say when to come again."""
        if ctx.attempt == 1:
            raise NetworkFailed("busy", retry_after=float(params.number))
        return Said(text=params.text, attempt=ctx.attempt)

    @task("flaky.fails", timeout=20)
    async def fails(self, params: Say, ctx: Context) -> Said:
        """Fail for another reason."""
        self._stage.played.append(params.text)
        raise AgentFailed("as told")

    @task("flaky.caller", timeout=20)
    async def caller(self, params: Say, ctx: Context) -> Said:
        """Call somebody and fail on the network."""
        self._stage.played.append(params.text)
        await ctx.call("test.echo", {"text": params.text})
        raise NetworkFailed("down")

    @task("flaky.talks", timeout=20)
    async def talks(self, params: Say, ctx: Context) -> Said:
        """Say something and fail on the network, once."""
        await ctx.token(f"{ctx.attempt}")
        if ctx.attempt == 1:
            raise NetworkFailed("down")
        return Said(text=params.text, attempt=ctx.attempt)


FLAKY = Catalog.of([Echo, Flaky])
AGAIN = {"delivery": "AT_LEAST_ONCE"}


@pytest.fixture(autouse=True)
def _hasty(hasty, monkeypatch):
    """Rest hardly at all."""
    monkeypatch.setattr(module, "FIRST_REST", 0.001)


@pytest.fixture
async def tree(stage):
    async with stage_tree(stage, FLAKY) as running:
        yield running


def fails(number, text="hello"):
    return {"parameters": {"text": text, "number": number}, **AGAIN}


def at_rest(tree):
    cells = tree.supervisors["system/0"].supervisor._cells.values()
    return [cell for cell in cells if cell.rest]


@pytest.mark.parametrize("text", ["hello", "effect"])
async def test_another_attempt_follows_and_another(tree, text):
    answer = await submit(tree.door, "flaky.work", **fails(3, text))
    assert (answer["status"], answer["result"]["attempt"]) == ("COMPLETED", 4)
    assert answer["metrics"]["retryCount"] == 3


async def test_up_to_the_declared_number(tree, stage):
    answer = await submit(tree.door, "flaky.work", **fails(9))
    assert (answer["status"], answer["errorCode"]) == ("FAILED", "NETWORK_ERROR")
    assert answer["retryable"]
    assert len(stage.played) == 4


async def test_what_they_used_is_added_up(tree):
    answer = await submit(tree.door, "flaky.work", **fails(2))
    assert answer["metrics"]["costUsd"] == 3 * 0.125
    assert answer["metrics"]["tokensUsed"] == 3 * 15


async def test_each_is_in_the_journal_and_none_is_the_death_of_a_host(tree):
    answer = await submit(tree.door, "flaky.work", **fails(2))
    story = await tree.tables.story(answer["taskId"])
    retries = [event for event in story if event.kind is EventKind.RETRY]
    assert [event.data["errorCode"] for event in retries] == ["NETWORK_ERROR"] * 2
    assert {event.data["errorMessage"] for event in retries} == {"down"}
    assert all(event.data["afterMs"] >= 0 for event in retries)
    state = fold(story)
    assert (state.deaths, state.attempts, state.spent) == ((), 3, (0.25, 30))
    assert tree.supervisors["system/0"].supervisor.fleet.crew("flaky").ward is None


async def test_readers_are_told_to_forget_what_the_failed_one_said(tree):
    answer = await submit(tree.door, "flaky.talks", **AGAIN)
    events = await told(tree, answer["taskId"], ADA)
    kinds = ["accepted", "queued", "started", "token", "retry", "reset", "started", "token"]
    assert [event["type"] for event in events] == [*kinds, "completed"]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("flaky.work", {"parameters": {"number": 1}}),
        ("flaky.work", {"parameters": {"number": 1}, "delivery": "EXACTLY_ONCE"}),
        ("flaky.fails", AGAIN),
        ("flaky.caller", AGAIN),
    ],
    ids=["may not run again", "no effects to keep", "another reason", "called others"],
)
async def test_some_are_not_tried_again(tree, stage, name, fields):
    answer = await submit(tree.door, name, **fields)
    assert answer["status"] == "FAILED"
    assert answer["metrics"]["retryCount"] == 0
    assert len(stage.played) == 1


async def test_one_that_has_no_time_left_ends(tree, stage, monkeypatch):
    monkeypatch.setattr(module, "FIRST_REST", 60.0)
    answer = await submit(tree.door, "flaky.work", **fails(1), within=10)
    assert answer["errorCode"] == "NETWORK_ERROR"
    assert len(stage.played) == 1


async def test_whoever_says_when_is_heard(tree):
    asked = begin(tree.door, "flaky.slow", parameters={"number": 8}, **AGAIN)
    assert await eventually(lambda: at_rest(tree), 5)
    assert at_rest(tree)[0].rest == 8
    asked.cancel()
    answer = await submit(tree.door, "flaky.slow", parameters={"number": 30}, **AGAIN)
    assert answer["errorCode"] == "NETWORK_ERROR"


class TestResting:
    @pytest.fixture
    async def resting(self, tree, monkeypatch):
        monkeypatch.setattr(module, "FIRST_REST", 8.0)
        task_id = new_id()
        asked = begin(tree.door, "flaky.work", task_id=task_id, **fails(1))
        assert await eventually(lambda: at_rest(tree), 5)
        monkeypatch.setattr(module, "FIRST_REST", 0.001)
        return task_id, asked

    async def test_it_holds_nobody_up(self, tree, resting):
        supervisor = tree.supervisors["system/0"].supervisor
        row = supervisor.snapshot()
        assert (row["inFlight"], row["queueDepth"]) == (0, 0)
        assert (await submit(tree.door, "test.echo"))["status"] == "COMPLETED"

    async def test_it_is_cancelled_at_once(self, tree, resting):
        task_id, asked = resting
        assert await tree.door.cancel(task_id, ADA)
        answer = await asyncio.wait_for(asked, 2)
        assert answer["status"] == "CANCELLED"
        assert answer["metrics"]["costUsd"] == 0.125
        assert not tree.supervisors["system/0"].supervisor._cells

    async def test_the_next_supervisor_takes_it_up_where_it_was(self, tree, resting, stage):
        _, asked = resting
        await tree.supervisors["system/0"].kill()
        answer = await asyncio.wait_for(asked, 5)
        assert answer["result"]["attempt"] == 2
        assert answer["metrics"]["costUsd"] == 0.25
        assert len(stage.played) == 2

    async def test_a_supervisor_that_stops_leaves_it_to_the_journal(self, tree, resting):
        task_id, asked = resting
        await tree.orchestrator.stop(grace=0.1)
        assert not fold(await tree.tables.story(task_id)).status.terminal
        asked.cancel()
