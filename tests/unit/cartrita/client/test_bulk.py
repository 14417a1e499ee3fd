"""Tests of batches and lists, without a server."""

import json
from datetime import UTC, datetime

import pytest

from cartrita.client import bulk
from cartrita.client.bulk import MOST_BYTES, MOST_TASKS, Entry, Offers, entry_of
from cartrita.client.calls import submission
from cartrita.errors import (
    AuthorizationFailed,
    InsufficientBudget,
    InternalFailure,
    InvalidParameters,
    QueueFull,
    RateLimitExceeded,
)
from cartrita.protocol.task import TaskStatus
from tests.unit.cartrita.client.conftest import BROKEN, Script, problem, reply


def task(payload=1):
    return submission("system.echo", {"payload": payload}, {})


def entries(number, payload=1):
    return [Entry(place, task(payload)) for place in range(number)]


def verdicts(*items):
    results = [
        {"accepted": True, "taskId": "t", "status": "PENDING"}
        if item is None
        else {"accepted": False, "problem": item}
        for item in items
    ]
    return reply(200, {"results": results})


def refusal(code, **more):
    return {"code": code, "detail": f"It is {code}.", **more}


def offers(*taken, retries=8):
    waiting = Offers(Script(retries=retries).exchange.patience(1e9))
    for entry in taken:
        waiting.add(entry)
    return waiting


class TestOffers:
    def test_a_call_takes_no_more_tasks_than_the_server_allows(self):
        waiting = offers(*entries(MOST_TASKS + 1))
        assert [len(waiting.take()), len(waiting.take()), len(waiting.take())] == [MOST_TASKS, 1, 0]

    def test_nor_more_bytes_but_one_task_at_least(self):
        large = "x" * (MOST_BYTES // 2)
        waiting = offers(*entries(3, large), *entries(1, large * 3))
        assert [len(waiting.take()) for _ in range(5)] == [1, 1, 1, 1, 0]

    def test_who_found_no_room_waits_in_the_old_place(self):
        first, second, third, fourth = entries(4)
        waiting = offers(first, second, third, fourth)
        chunk = waiting.take()[:3]
        waiting.add(fourth)
        full = [QueueFull("full", retry_after=3), None, RateLimitExceeded("slow", retry_after=2)]
        accepted, refused, pause = waiting.hear(chunk, full)
        assert (accepted, refused) == ([second], [])
        assert 2 <= pause < 3.2
        assert waiting.take() == [first, third, fourth]

    def test_what_is_refused_is_told(self):
        (entry,) = entries(1)
        no = AuthorizationFailed("no")
        accepted, (result,), pause = offers().hear([entry], [no])
        assert (accepted, pause) == ([], 0)
        assert (result.place, result.task_id, result.error) == (0, entry.task.task_id, no)
        with pytest.raises(AuthorizationFailed):
            result.unwrap()

    def test_a_budget_that_is_used_up_ends_the_batch_and_a_task_s_own_only_that_task(self):
        (entry,) = entries(1)
        own = InsufficientBudget("Its own.")
        assert offers().hear([entry], [own])[1][0].error is own
        with pytest.raises(InsufficientBudget):
            offers().hear([entry], [InsufficientBudget("The day's.", retry_after=3600)])

    def test_without_room_for_too_long_the_batch_ends(self):
        (entry,) = entries(1)
        waiting = offers(retries=2)
        for _ in range(2):
            waiting.hear([entry], [QueueFull("full")])
        with pytest.raises(QueueFull):
            waiting.hear([entry], [QueueFull("full")])

    def test_an_acceptance_begins_anew(self):
        first, second = entries(2)
        waiting = offers(retries=1)
        for _ in range(5):
            waiting.hear([first, second], [QueueFull("full"), None])


class TestOffer:
    def test_every_task_has_its_verdict(self):
        said = refusal("QUEUE_FULL", retryAfter=2)
        script = Script(verdicts(None, said, refusal("INVALID_PARAMETERS")))
        tasks = [task(number) for number in range(3)]
        none, busy, wrong = script.play(bulk.offer(script.exchange, tasks))
        assert none is None
        assert (type(busy), busy.retry_after) == (QueueFull, 2)
        assert type(wrong) is InvalidParameters
        (call,) = script.calls
        assert (call.method, call.path) == ("POST", "/v3/tasks/batch")
        assert [item["taskId"] for item in json.loads(call.body)["tasks"]] == [
            item.task_id for item in tasks
        ]

    def test_a_lost_answer_is_asked_for_again(self):
        script = Script(BROKEN, verdicts(None))
        assert script.play(bulk.offer(script.exchange, [task()])) == [None]
        assert script.calls[0].body == script.calls[1].body

    def test_what_is_wrong_with_the_whole_is_found_by_halves(self):
        wrong = {"errors": [{"field": "tasks.0.parameters.x", "message": "is odd"}]}
        bad = problem(422, "INVALID_PARAMETERS", **wrong)
        large = problem(413, "RESOURCE_LIMIT_EXCEEDED")
        script = Script(large, verdicts(None), bad, bad, verdicts(None))
        tasks = [task(number) for number in range(3)]
        first, second, third = script.play(bulk.offer(script.exchange, tasks))
        assert (first, third) == (None, None)
        assert second.fields == (("parameters.x", "is odd"),)

    def test_an_answer_that_is_none_is_told(self):
        script = Script(verdicts())
        with pytest.raises(InternalFailure):
            script.play(bulk.offer(script.exchange, [task()]))


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (("system.echo", {}, {"priority": 99}), "priority"),
        (("system.echo", {}, {"idempotency_key": "k"}), "Idempotency-Key"),
    ],
)
def test_what_is_no_task_is_a_result(asked, field):
    result = entry_of(3, asked)
    assert (result.place, result.completed) == (3, False)
    assert result.error.fields[0].field == field


def test_an_error_in_the_place_of_a_task_is_its_result():
    error = InvalidParameters("no")
    assert entry_of(0, error).error is error


def test_a_list_is_asked_for_by_its_filters():
    script = Script(reply(200, {"tasks": [], "next": None}))
    filters = {
        "status": [TaskStatus.FAILED, "TIMEOUT"],
        "task_type": "system.echo",
        "since": datetime(2026, 1, 1, tzinfo=UTC),
        "user": "u",
    }
    assert script.play(bulk.page(script.exchange, filters, 7, "c")).tasks == []
    assert dict(script.calls[0].query) == {
        "limit": "7",
        "cursor": "c",
        "status": "FAILED,TIMEOUT",
        "taskType": "system.echo",
        "since": "2026-01-01T00:00:00+00:00",
        "user": "u",
    }


def test_a_time_needs_a_zone():
    script = Script()
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - what it is about
    with pytest.raises(InvalidParameters, match="until"):
        script.play(bulk.page(script.exchange, {"until": naive}, 7, None))
