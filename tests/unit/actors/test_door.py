"""What a client of the tree sees."""

import asyncio
from dataclasses import replace

import pytest

from actors.door import MAX_PARAMETERS, Door
from actors.hosting import RouteTable
from cartrita.clock import new_id
from cartrita.errors import (
    AuthorizationFailed,
    IdempotencyMismatch,
    InvalidMessage,
    InvalidParameters,
    InvalidTaskType,
    NotFound,
    ResourceLimitExceeded,
    ServiceUnavailable,
    StillRunning,
    TaskTimeout,
    leaves,
)
from cartrita.journal import EventKind
from cartrita.protocol.principal import Principal, Role
from cartrita.protocol.task import TaskResponse
from tests.support.records import ADA, EVE
from tests.support.stage import begin, request, submit

ADMIN = Principal("root", "root", Role.ADMIN)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class TestAnswer:
    async def test_a_task_completes_and_says_what_it_took(self, door):
        answer = await door.submit(request(text="hi"), ADA, wait=True, traceparent=TRACE)
        TaskResponse.model_validate(answer)
        assert answer["status"] == "COMPLETED"
        assert answer["result"] == {"text": "hi", "attempt": 1}
        assert answer["traceId"] == TRACE[3:35]
        metrics = answer["metrics"]
        assert metrics["processingTimeMs"] > 0
        assert metrics["queueTimeMs"] >= 0
        assert (metrics["retryCount"], metrics["costUsd"]) == (0, 0.25)

    async def test_an_accepted_task_is_in_the_journal_from_its_beginning_to_its_end(
        self, tree, door
    ):
        answer = await submit(door)
        story = await tree.tables.story(answer["taskId"])
        assert [event.kind for event in story] == [EventKind.ACCEPTED, EventKind.COMPLETED]
        assert story[-1].data == answer
        assert {event.shard for event in story} == {"system/0"}

    async def test_an_alias_is_the_task_it_leads_to(self, tree, door):
        answer = await submit(door, "echo")
        (accepted, _) = await tree.tables.story(answer["taskId"])
        assert accepted.data[1] == "test.echo"

    async def test_every_error_of_an_agent_is_an_answer(self, door):
        answers = await asyncio.gather(*(submit(door, "test.fail", name) for name in leaves()))
        ends = {"TaskTimeout": "TIMEOUT", "TaskCancelled": "CANCELLED"}
        for (name, kind), answer in zip(leaves().items(), answers, strict=True):
            TaskResponse.model_validate(answer)
            assert answer["status"] == ends.get(name, "FAILED"), name
            assert (answer["errorCode"], answer["errorMessage"]) == (kind.code, "as told")
            assert answer["metrics"]["costUsd"] == 0.125  # what it had used, not the price
            assert answer["metrics"]["tokensUsed"] == 15

    async def test_a_defect_of_an_agent_is_an_agent_error_that_names_it(self, door):
        answer = await submit(door, "test.fail", "nothing of ours")
        assert (answer["status"], answer["errorCode"]) == ("FAILED", "AGENT_ERROR")
        assert answer["errorMessage"] == "ZeroDivisionError: as told"

    async def test_an_agent_that_awaits_something_cancelled_fails_at_once(self, door):
        answer = await asyncio.wait_for(submit(door, "test.lose"), 5)
        assert (answer["status"], answer["errorCode"]) == ("FAILED", "AGENT_ERROR")

    async def test_an_agent_that_rests_is_woken(self, door):
        assert (await submit(door, "sleeper.echo", "hi"))["result"]["text"] == "hi"

    async def test_the_agent_sees_who_asks_and_how(self, door):
        answer = await submit(
            door,
            "test.seen",
            session_id="s",
            preferences={"qualityLevel": "best"},
            metadata={"k": "v"},
            budget={"maxUsd": 2},
        )
        told = ["ada", "ada", "s", "best", {"k": "v"}, 2.0, True]
        assert answer["result"]["text"] == str(told)

    async def test_many_at_once_get_their_own_answers(self, door):
        answers = await asyncio.gather(*(submit(door, text=str(n)) for n in range(100)))
        assert [answer["result"]["text"] for answer in answers] == [str(n) for n in range(100)]


class TestRefusal:
    async def test_an_unknown_task_type_is_refused_with_a_hint(self, door):
        with pytest.raises(InvalidTaskType, match=r"'test\.echo'"):
            await submit(door, "test.ecco")

    @pytest.mark.parametrize(
        ("parameters", "field"),
        [
            ({"text": 5}, "parameters.text"),
            ({"text": None}, "parameters.text"),
            ({"number": "5"}, "parameters.number"),
            ({"number": 1.5}, "parameters.number"),
            ({"number": True}, "parameters.number"),
            ({"colour": "red"}, "parameters.colour"),
            ({"when": "yesterday"}, "parameters.when"),
            ({"which": "0192"}, "parameters.which"),
            ({"text": b"bytes"}, "parameters.text"),
        ],
    )
    async def test_wrong_parameters_are_refused_by_the_name_of_the_field(
        self, door, parameters, field
    ):
        with pytest.raises(InvalidParameters) as refused:
            await submit(door, parameters=parameters)
        assert [error.field for error in refused.value.fields] == [field]
        assert field in refused.value.message

    async def test_what_json_has_no_type_for_comes_as_text(self, door):
        parameters = {"when": "2026-11-22T12:00:00Z", "which": new_id(), "text": "hi"}
        assert (await submit(door, parameters=parameters))["status"] == "COMPLETED"

    async def test_nothing_is_journaled_of_what_was_refused(self, tree, door):
        with pytest.raises(InvalidParameters):
            await submit(door, parameters={"colour": "red"})
        assert tree.tables.stories == {}

    async def test_too_much_is_refused_by_its_size(self, door):
        with pytest.raises(ResourceLimitExceeded, match=str(MAX_PARAMETERS)):
            await submit(door, text="x" * MAX_PARAMETERS)

    @pytest.mark.parametrize("value", [2**64, "\ud800", object()])
    async def test_what_cannot_be_carried_is_refused(self, door, value):
        with pytest.raises(InvalidMessage):
            await submit(door, parameters={"text": value})

    async def test_without_a_scope_for_the_task_it_is_refused(self, tree, door):
        with pytest.raises(AuthorizationFailed, match=r"'tasks:test\.echo'"):
            await submit(door, who=replace(ADA, scopes=("tasks:sleeper.*",)))
        assert tree.tables.stories == {}

    async def test_another_s_workspace_is_not_there_except_for_an_admin(self, door):
        with pytest.raises(NotFound, match="'elsewhere'"):
            await submit(door, workspace_id="elsewhere")
        answer = await submit(door, "test.seen", workspace_id="elsewhere", who=ADMIN)
        assert answer["result"]["text"].startswith("['root', 'elsewhere'")

    async def test_a_deadline_needs_a_time_zone(self, door):
        naive = request(within=60).deadline.replace(tzinfo=None)
        with pytest.raises(InvalidParameters) as refused:
            await submit(door, deadline=naive)
        assert refused.value.fields[0].field == "deadline"

    async def test_a_deadline_that_is_past_is_refused_at_the_door(self, door):
        with pytest.raises(TaskTimeout) as refused:
            await submit(door, within=-1)
        assert refused.value.reason == "DEADLINE_IMPOSSIBLE"

    async def test_a_team_that_does_not_run_cannot_be_asked(self, tree):
        class Nowhere:
            async def routes(self):
                return RouteTable(1, "b", {}, {}, "t")

        lonely = Door(tree.catalog, Nowhere(), tree.tables, tree.clock, "lonely")
        with pytest.raises(ServiceUnavailable, match="'system'"):
            await submit(lonely)


class TestIdentity:
    async def test_one_task_id_is_one_task_however_often_it_comes(self, door, stage):
        task_id = new_id()
        asked = [begin(door, "test.hold", "one", task_id=task_id) for _ in range(5)]
        await stage.begun()
        stage.release.set()
        answers = await asyncio.gather(*asked, submit(door, "test.hold", "one", task_id=task_id))
        assert all(answer == answers[0] for answer in answers)
        again = await submit(door, "test.hold", "one", task_id=task_id)
        assert again == answers[0]
        assert stage.played == ["one"]

    async def test_a_task_id_that_asked_for_something_else_is_refused(self, door, stage):
        live, ended = new_id(), new_id()
        await submit(door, text="one", task_id=ended)
        running = begin(door, "test.hold", "one", task_id=live)
        await stage.begun()
        for name, task_id in [("test.hold", live), ("test.echo", ended)]:
            with pytest.raises(IdempotencyMismatch, match=task_id):
                await submit(door, name, "two", task_id=task_id)
        stage.release.set()
        await running

    async def test_another_user_s_task_id_is_not_there(self, door, stage):
        live, ended = new_id(), new_id()
        await submit(door, task_id=ended)
        running = begin(door, "test.hold", task_id=live)
        await stage.begun()
        for name, task_id in [("test.hold", live), ("test.echo", ended)]:
            with pytest.raises(NotFound):
                await submit(door, name, task_id=task_id, who=EVE)
        stage.release.set()
        await running

    async def test_a_key_repeats_the_answer(self, door):
        first = await submit(door, key="k")
        assert await submit(door, key="k") == first
        assert await submit(door) != first

    async def test_a_key_with_another_payload_is_refused(self, door):
        first = await submit(door, key="k")
        with pytest.raises(IdempotencyMismatch, match=first["taskId"]):
            await submit(door, text="other", key="k")

    async def test_a_key_whose_task_is_at_work_says_so(self, door, stage):
        running = begin(door, "test.hold", key="k")
        await stage.begun()
        for wait in (True, False):
            with pytest.raises(StillRunning) as refused:
                await submit(door, "test.hold", key="k", wait=wait)
            assert refused.value.reason == "STILL_RUNNING"
        stage.release.set()
        first = await running
        assert await submit(door, "test.hold", key="k") == first
        assert stage.played == ["hello"]

    async def test_a_key_and_an_id_that_come_again_together_wait_for_the_one_task(
        self, door, stage
    ):
        task_id = new_id()
        running = begin(door, "test.hold", key="k", task_id=task_id)
        await stage.begun()
        again = begin(door, "test.hold", key="k", task_id=task_id)
        stage.release.set()
        assert await again == await running

    async def test_keys_of_two_users_are_two_keys(self, door):
        mine, theirs = await submit(door, key="k"), await submit(door, key="k", who=EVE)
        assert mine["taskId"] != theirs["taskId"]


class TestLater:
    async def test_a_task_may_be_asked_for_later(self, door, stage):
        accepted = await submit(door, "test.hold", "hi", wait=False)
        assert accepted["status"] == "PENDING"
        task_id = accepted["taskId"]
        await stage.begun()
        assert (await door.get(task_id, ADA))["status"] == "PENDING"
        waiting = asyncio.create_task(door.get(task_id, ADA, wait=10))
        stage.release.set()
        answer = await waiting
        assert answer["result"]["text"] == "hi"
        assert await door.get(task_id, ADA) == answer

    async def test_a_repeat_that_does_not_wait_is_told_the_same(self, door, stage):
        task_id = new_id()
        for _ in range(3):
            accepted = await submit(door, "test.hold", task_id=task_id, wait=False)
            assert accepted == {"taskId": task_id, "status": "PENDING"}
        await stage.begun()
        stage.release.set()
        assert (await door.get(task_id, ADA, wait=10))["status"] == "COMPLETED"
        assert stage.played == ["hello"]

    async def test_whoever_waits_too_shortly_is_told_how_it_stands(self, door, stage):
        accepted = await submit(door, "test.once", wait=False)
        await stage.begun()
        assert (await door.get(accepted["taskId"], ADA, wait=0.01))["status"] == "RUNNING"
        stage.release.set()
        assert (await door.get(accepted["taskId"], ADA, wait=10))["status"] == "COMPLETED"

    async def test_a_client_that_leaves_does_not_stop_its_task(self, door, stage):
        task_id = new_id()
        asked = begin(door, "test.hold", task_id=task_id)
        await stage.begun()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        stage.release.set()
        assert (await door.get(task_id, ADA, wait=10))["status"] == "COMPLETED"
        assert stage.left.empty()

    async def test_others_do_not_see_it_and_an_admin_does(self, door):
        task_id = (await submit(door))["taskId"]
        for act in (door.get, door.cancel):
            for nobody_s in (task_id, new_id()):
                with pytest.raises(NotFound):
                    await act(nobody_s, EVE)
        assert (await door.get(task_id, ADMIN))["status"] == "COMPLETED"
