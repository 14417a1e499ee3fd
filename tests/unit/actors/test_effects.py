"""Effects on the outside world, through deaths, doubts and zombies."""

import pytest

from actors import effects as module
from actors import fate as fate_module
from cartrita.effects import Finding, State, effect_id
from cartrita.errors import NetworkFailed, NotDone
from cartrita.journal import EventKind
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
from tests.support.stage import begin, submit

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


class TestDone:
    async def test_an_effect_happens_and_the_ledger_has_it(self, tree, post, outside):
        task_id, asked = post(parameters={"text": "hi", "key": "eve"})
        answer = await asked
        assert answer["result"] == {"text": "receipt 1", "attempt": 1}
        row = await row_of(tree, task_id, "letter", "eve")
        assert (row.state, row.result, row.task_id) == (State.DONE, "receipt 1", task_id)
        assert outside.arrived == {row.id: 1}

    async def test_it_is_durable_before_anything_happens(self, tree, post, outside):
        outside.lets_arrive.clear()
        task_id, asked = post()
        await outside.begun()
        assert await stands(tree, task_id) is State.BEGUN
        outside.lets_arrive.set()
        await asked

    @DEATHS
    async def test_another_attempt_finds_it_done(self, tree, post, outside, stage, dies):
        _, asked = post("both")
        assert await stage.begun() == "before"
        stage.release.set()
        assert await stage.begun() == "after"
        await dies(tree)
        assert await stage.begun() == "before"
        stage.release.set()
        assert await stage.begun() == "after"
        stage.release.set()
        answer = await asked
        assert (answer["status"], answer["result"]["text"]) == ("COMPLETED", "receipt 1")
        assert list(outside.arrived.values()) == [1]
        assert outside.asked == []

    async def test_one_in_a_sub_task_happens_once_whatever_becomes_of_its_caller(
        self, tree, post, outside, stage
    ):
        _, asked = post("office")
        assert await stage.begun() == "after"
        await kill_host(tree)
        assert await stage.begun() == "after"
        stage.release.set()
        answer = await asked
        assert answer["result"] == {"text": "receipt 1", "attempt": 2}
        assert list(outside.arrived.values()) == [1]

    async def test_a_sub_task_that_dies_within_one_is_taken_up(self, tree, post, outside, stage):
        outside.lets_answer.clear()
        _, asked = post("office")
        await outside.taken()
        await kill_host(tree)
        stage.release.set()
        answer = await asked
        assert answer["result"]["text"] == "found"
        assert list(outside.arrived.values()) == [1]

    async def test_a_result_that_cannot_be_kept_is_an_error_and_what_happened_is_known(
        self, tree, post, outside
    ):
        task_id, asked = post("huge")
        answer = await asked
        assert ended(answer) == ("FAILED", "RESOURCE_LIMIT_EXCEEDED", None)
        row = await row_of(tree, task_id, "parcel")
        assert (row.state, row.result) == (State.DONE, None)

    async def test_a_block_that_would_do_it_again_is_an_error_at_once(self, tree, post, outside):
        task_id, asked = post("thoughtless")
        answer = await asked
        assert ended(answer) == ("FAILED", "AGENT_ERROR", None)
        assert "`happened`" in answer["errorMessage"]
        assert await stands(tree, task_id, "parcel") is State.DONE

    async def test_one_that_was_done_stays_so_when_its_block_fails_later(self, tree, post, outside):
        task_id, asked = post("fails")
        assert ended(await asked) == ("FAILED", "AGENT_ERROR", None)
        assert await eventually(lambda: tree.tables.effects, 5)
        assert await stands(tree, task_id, "parcel") is State.DONE


class TestUnknown:
    @DEATHS
    async def test_a_probe_that_finds_it_is_believed(self, tree, post, outside, dies):
        outside.lets_answer.clear()
        task_id, asked = post()
        await outside.taken()
        await dies(tree)
        answer = await asked
        assert (answer["status"], answer["result"]["text"]) == ("COMPLETED", "found")
        assert list(outside.arrived.values()) == [1]
        row = await row_of(tree, task_id)
        assert (row.state, row.result, row.settled_by) == (State.DONE, "found", "probe")
        (doubt,) = outside.asked
        assert (doubt.id, doubt.name, doubt.key) == (row.id, "letter", "ada")

    @DEATHS
    async def test_a_probe_that_finds_nothing_has_it_done_now(self, tree, post, outside, dies):
        outside.lets_arrive.clear()
        task_id, asked = post()
        await outside.begun()
        await dies(tree)
        outside.lets_arrive.set()
        answer = await asked
        assert (answer["status"], answer["result"]["text"]) == ("COMPLETED", "receipt 1")
        assert list(outside.arrived.values()) == [1]
        assert len(outside.asked) == 1
        assert await stands(tree, task_id) is State.DONE

    @pytest.mark.parametrize("tells", ["unknown", "broken"])
    @DEATHS
    async def test_a_probe_that_cannot_tell_leaves_it_to_people(
        self, tree, post, outside, dies, tells
    ):
        outside.tells = tells
        outside.lets_answer.clear()
        task_id, asked = post()
        await outside.taken()
        await dies(tree)
        answer = await asked
        assert ended(answer) == UNKNOWN
        row = await row_of(tree, task_id)
        assert row.state is State.UNKNOWN
        assert row.id in answer["errorMessage"]
        assert list(outside.arrived.values()) == [1]
        assert await tree.book.page("ada", State.UNKNOWN, 5, None) == [row]

    @DEATHS
    async def test_without_a_probe_it_is_left_to_people(self, tree, post, outside, dies):
        outside.lets_arrive.clear()
        task_id, asked = post("parcel")
        await outside.begun()
        await dies(tree)
        answer = await asked
        assert ended(answer) == UNKNOWN
        assert not answer["retryable"]
        assert outside.arrived == {}
        assert await stands(tree, task_id, "parcel") is State.UNKNOWN

    async def test_what_a_person_decided_meanwhile_holds(self, tree, post, outside, stage):
        outside.lets_answer.clear()
        outside.tells = "unknown"
        task_id, asked = post("both")
        await stage.begun()
        stage.release.set()
        await outside.taken()
        stage.release.clear()
        await kill_host(tree)
        await stage.begun()
        effect = effect_id(task_id, "letter", "ada")
        assert await tree.book.resolve(effect, Finding.done("by hand"), "root")
        stage.release.set()
        assert await stage.begun() == "after"
        stage.release.set()
        assert (await asked)["result"]["text"] == "by hand"
        assert outside.asked == []

    async def test_what_a_predecessor_s_attempt_had_begun_is_asked_about_when_it_is_over(
        self, outside, stage, monkeypatch
    ):
        monkeypatch.setattr(module, "CALM", 0.3)
        async with post_tree(outside, stage) as tree:
            outside.lets_answer.clear()
            asked = begin(tree.door, "post.letter")
            await outside.taken()
            await kill_supervisor(tree)
            assert await eventually(lambda: tree.supervisors["system/0"].info.epoch == 2, 5)
            effects = tree.supervisors["system/0"].supervisor._attempts.effects
            answer = await asked
            assert answer["result"]["text"] == "found"
            assert tree.clock.monotonic() >= effects._calm_at

    async def test_an_error_within_the_block_leaves_it_unknown(self, tree, post, outside):
        outside.troubles_after = [ZeroDivisionError()]
        task_id, asked = post("parcel")
        answer = await asked
        assert ended(answer) == UNKNOWN
        assert "ZeroDivisionError" in answer["errorMessage"]
        assert await stands(tree, task_id, "parcel") is State.UNKNOWN

    async def test_an_agent_that_does_not_mind_is_warned(self, tree, post, outside):
        outside.troubles_after = [NetworkFailed()]
        task_id, asked = post("stubborn")
        answer = await asked
        assert answer["status"] == "COMPLETED"
        (warning,) = answer["warnings"]
        assert effect_id(task_id, "parcel", "ada") in warning
        assert await stands(tree, task_id, "parcel") is State.UNKNOWN

    async def test_after_a_network_s_failure_the_next_attempt_asks(self, tree, post, outside):
        outside.troubles_after = [NetworkFailed()]
        _, asked = post()
        answer = await asked
        assert answer["result"] == {"text": "found", "attempt": 2}
        assert list(outside.arrived.values()) == [1]

    async def test_time_that_runs_out_within_one_leaves_it_unknown(self, tree, post, outside):
        outside.lets_answer.clear()
        task_id, asked = post("parcel", within=0.5)
        answer = await asked
        assert ended(answer) == ("TIMEOUT", "TASK_TIMEOUT", "OUTCOME_UNKNOWN")
        assert await stands(tree, task_id, "parcel") is State.UNKNOWN


class TestNotDone:
    async def test_what_certainly_did_not_happen_is_tried_again(self, tree, post, outside):
        outside.troubles = [NotDone("full"), NotDone("full")]
        _, asked = post("parcel")
        answer = await asked
        assert answer["result"] == {"text": "receipt 1", "attempt": 3}
        assert answer["metrics"]["retryCount"] == 2
        assert list(outside.arrived.values()) == [1]

    async def test_as_often_as_the_task_may_be_started(self, tree, post, outside):
        outside.troubles = [NotDone("full")] * 5
        task_id, asked = post("parcel")
        answer = await asked
        assert ended(answer) == ("FAILED", "NETWORK_ERROR", "NOT_DONE")
        assert answer["retryable"]
        assert len(outside.troubles) == 2
        assert await stands(tree, task_id, "parcel") is State.NOT_DONE

    async def test_an_agent_may_try_it_again_itself(self, tree, post, outside):
        outside.troubles = [NotDone("full")]
        _, asked = post("again")
        assert (await asked)["result"] == {"text": "sent", "attempt": 1}

    async def test_an_agent_may_say_so_and_go_on(self, tree, post, outside):
        task_id, asked = post("denies")
        assert (await asked)["status"] == "COMPLETED"
        assert await stands(tree, task_id, "parcel") is State.NOT_DONE


class TestRefused:
    async def test_the_same_key_twice(self, tree, post, outside):
        _, asked = post("twice")
        answer = await asked
        assert ended(answer) == ("FAILED", "AGENT_ERROR", None)
        assert "twice" in answer["errorMessage"]
        assert list(outside.arrived.values()) == [1]

    async def test_one_that_is_not_declared(self, tree, post, outside):
        _, asked = post("undeclared")
        answer = await asked
        assert ended(answer) == ("FAILED", "AGENT_ERROR", None)
        assert "does not declare the effect 'letter'" in answer["errorMessage"]
        assert outside.arrived == {}

    @pytest.mark.parametrize("key", ["", "a\nb", "x" * 513])
    async def test_a_key_that_is_none(self, tree, post, outside, key):
        _, asked = post(parameters={"key": key})
        answer = await asked
        assert ended(answer) == ("FAILED", "AGENT_ERROR", None)
        assert "key" in answer["errorMessage"]
        assert outside.arrived == {}

    async def test_more_than_a_task_may_have(self, tree, post, outside, monkeypatch):
        monkeypatch.setattr(module, "MOST_EFFECTS", 0)
        _, asked = post()
        assert ended(await asked) == ("FAILED", "RESOURCE_LIMIT_EXCEEDED", None)
        assert outside.arrived == {}


async def test_what_tries_a_task_again_shares_its_effects(tree, post, outside, stage, monkeypatch):
    monkeypatch.setattr(fate_module, "KILLS", 1)
    task_id, asked = post("both")
    await stage.begun()
    stage.release.set()
    assert await stage.begun() == "after"
    await kill_host(tree)
    assert (await asked)["reason"] == "QUARANTINED"
    again = await tree.quarantine.retry(task_id, ADA)
    assert await stage.begun() == "before"
    stage.release.set()
    assert await stage.begun() == "after"
    stage.release.set()
    answer = await tree.door.get(again["taskId"], ADA, 5)
    assert answer["result"]["text"] == "receipt 1"
    assert list(outside.arrived.values()) == [1]


async def test_a_task_without_effects_leaves_the_ledger_alone(tree, outside, stage):
    stage.release.set()
    await submit(tree.door, "post.office", "hi")
    assert len(tree.tables.effects) == 1
    kinds = {event.kind for story in tree.tables.stories.values() for event in story}
    assert kinds == {EventKind.ACCEPTED, EventKind.COMPLETED}
