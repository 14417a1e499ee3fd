"""Tests of how tasks are followed through lost answers and refusals."""

import pytest

from cartrita import errors
from cartrita.channel.frames import pack
from cartrita.client.calls import submission
from cartrita.client.steps import Reply
from cartrita.protocol.task import TaskStatus
from tests.unit.cartrita.client.conftest import (
    BROKEN,
    TASK,
    UNSENT,
    Script,
    outcome,
    problem,
    reply,
)

POST, GET = "POST /v3/tasks", f"GET /v3/tasks/{TASK}"
ABSENT = problem(404, "AUTHORIZATION_FAILED", reason="NOT_FOUND")
FULL = problem(503, "QUEUE_FULL", retry_after="2")


def task(**options):
    return submission("system.echo", {"payload": 1}, {"task_id": TASK, **options})


def complete(script, **options):
    return script.play(script.talk.complete(task(**options)))


def test_a_task_is_one_request():
    script = Script(outcome(result={"payload": 1}))
    assert complete(script).unwrap() == {"payload": 1}
    assert script.said == [POST]
    assert script.pauses == []


def test_a_failed_task_is_a_value():
    script = Script(outcome("FAILED", errorCode="AGENT_ERROR", errorMessage="No."))
    assert complete(script).status is TaskStatus.FAILED


def test_a_full_queue_is_waited_out_as_long_as_it_says():
    script = Script(FULL, FULL, outcome())
    complete(script)
    assert script.said == [POST] * 3
    assert all(2 <= pause < 2.3 for pause in script.pauses)


def test_every_repeat_is_the_same_task():
    script = Script(FULL, UNSENT, outcome())
    complete(script)
    assert len({call.body for call in script.calls}) == 1


def test_what_was_never_sent_is_sent_again():
    script = Script(UNSENT, UNSENT, outcome())
    complete(script)
    assert script.said == [POST] * 3


def test_a_lost_answer_is_looked_for_before_anything_is_sent_again():
    script = Script(BROKEN, outcome("RUNNING"), outcome())
    complete(script)
    assert script.said == [POST, GET, GET]
    assert script.calls[2].query == {"wait": "30.000"}


def test_a_task_that_never_arrived_is_sent_again():
    script = Script(BROKEN, ABSENT, outcome())
    complete(script)
    assert script.said == [POST, GET, POST]


def test_a_proxy_that_gave_up_does_not_end_the_task():
    script = Script(reply(504), outcome())
    complete(script)
    assert script.said == [POST, GET]


def test_a_task_is_followed_through_the_end_of_its_gateway():
    script = Script(BROKEN, outcome("RUNNING"), BROKEN, UNSENT, UNSENT, outcome())
    complete(script, timeout=60)
    assert script.said == [POST, GET, GET, GET, GET, GET]


def test_a_workspace_of_somebody_else_is_told_at_once():
    script = Script(ABSENT)
    with pytest.raises(errors.NotFound):
        complete(script)


@pytest.mark.parametrize(
    "refusal",
    [
        problem(422, "INVALID_PARAMETERS"),
        problem(402, "INSUFFICIENT_BUDGET", retry_after="9"),
        problem(503, "TASK_TIMEOUT", reason="DEADLINE_IMPOSSIBLE", retry_after="1"),
        problem(500, "INTERNAL_ERROR"),
        problem(409, "SERVICE_UNAVAILABLE", reason="STILL_RUNNING"),
    ],
)
def test_a_refusal_that_stays_is_told_at_once(refusal):
    script = Script(refusal)
    with pytest.raises(errors.CartritaError):
        complete(script)
    assert script.said == [POST]


def test_repeats_end():
    script = Script(*[UNSENT] * 9, retries=8)
    with pytest.raises(errors.NetworkFailed, match="nobody listens"):
        complete(script)
    assert len(script.calls) == 9


def test_the_callers_timeout_ends_the_repeats():
    script = Script(*[FULL] * 100, retries=100)
    with pytest.raises(errors.QueueFull):
        complete(script, timeout=9)
    assert sum(script.pauses) < 9


def test_a_task_that_outlasts_its_caller_is_named():
    script = Script((60, BROKEN), (0, outcome("RUNNING")), *[(30, outcome("RUNNING"))] * 8)
    with pytest.raises(errors.StillRunning, match=TASK):
        complete(script)
    assert script.clock.monotonic() <= 1_700_000_000 + 300 + 30


def test_silence_until_the_end_is_told_as_a_task_that_may_go_on():
    script = Script((10, BROKEN))
    with pytest.raises(errors.StillRunning, match="within 5 s"):
        complete(script, timeout=5)


def test_a_submission_returns_with_its_acceptance():
    script = Script(reply(202, {"taskId": TASK, "status": "PENDING"}))
    assert script.play(script.talk.submit(task())).task_id == TASK
    assert script.calls[0].headers["Prefer"] == "respond-async"


def test_a_submission_whose_answer_is_lost_is_looked_for():
    script = Script(BROKEN, outcome("PENDING"))
    assert script.play(script.talk.submit(task())).status is TaskStatus.PENDING
    assert script.said == [POST, GET]


def test_a_known_key_leads_to_the_first_task():
    other = "018bcfe5-6800-7000-8000-000000000002"
    first = reply(200, {"taskId": other, "status": "RUNNING"})
    last = reply(200, {"taskId": other, "status": "COMPLETED"})
    script = Script(first, last)
    assert complete(script, idempotency_key="k").task_id == other
    assert script.said[1] == f"GET /v3/tasks/{other}"


def test_waiting_ends_when_the_caller_said():
    script = Script((5, outcome("RUNNING")))
    with pytest.raises(errors.StillRunning, match="5 s"):
        script.play(script.talk.wait(TASK, 5))
    assert script.calls[0].query == {"wait": "5.000"}


def test_waiting_for_nothing_is_told():
    script = Script(ABSENT)
    with pytest.raises(errors.NotFound):
        script.play(script.talk.wait(TASK, 5))


def test_bad_health_is_an_answer():
    body = {"status": "unhealthy", "queues": {}}
    script = Script(reply(503, body), token=None)
    assert script.play(script.talk.health()) == body


def test_no_health_at_all_is_waited_for():
    script = Script(reply(503), UNSENT, reply(200, {"queues": {}}), token=None)
    script.play(script.talk.health())
    assert len(script.calls) == 3


def test_cancelling_says_whether_there_was_anything_to_cancel():
    done = {"taskId": TASK, "cancelled": False}
    script = Script(BROKEN, reply(200, done))
    assert script.play(script.talk.cancel(TASK)) is False
    assert script.said == [f"DELETE /v3/tasks/{TASK}"] * 2


def test_a_quarantined_task_is_not_retried_twice():
    script = Script(BROKEN)
    with pytest.raises(errors.ChannelLost):
        script.play(script.talk.retry(TASK, None))
    assert script.said == [f"POST /v3/quarantine/{TASK}/retry"]
    assert script.calls[0].body is None


def test_a_command_is_not_given_twice_but_waits_for_its_turn():
    script = Script(BROKEN)
    with pytest.raises(errors.ChannelLost):
        script.play(script.talk.command("SCALE_UP", "tree", {"by": 1}))
    assert len(script.calls) == 1
    script = Script(UNSENT, reply(200, {"results": []}))
    script.play(script.talk.command("SHUTDOWN", "tree", {"grace": 600}))
    assert len(script.calls) == 2
    assert script.calls[0].timeout > 600


def test_lists_are_read_from_their_place():
    rows = [{"id": 1}]
    assert entries_of(reply(200, {"entries": rows})) == rows
    for answer in ({"entries": {}}, {"entries": [1]}, {}):
        with pytest.raises(errors.InternalFailure, match="list of entries"):
            entries_of(reply(200, answer))


def entries_of(answer):
    script = Script(answer)
    return script.play(script.talk.audit(5, None))


def test_a_result_that_is_only_referred_to_is_fetched():
    referred = outcome(result={"$blob": {"id": TASK, "size": 9}})
    for talked, path in (
        (lambda talk: talk.complete(task()), POST),
        (lambda talk: talk.wait(TASK, 5), GET),
        (lambda talk: talk.get(TASK), GET),
    ):
        script = Script(referred, reply(200, {"payload": 1}))
        assert script.play(talked(script.talk)).unwrap() == {"payload": 1}
        assert script.said == [path, f"GET /v3/blobs/{TASK}"]


def test_a_result_that_json_has_no_form_for_is_fetched_too():
    body = Reply(200, {"content-type": "application/msgpack"}, pack({"payload": b"\xff"}))
    script = Script(outcome(result={"$blob": TASK}), body)
    assert complete(script).unwrap() == {"payload": b"\xff"}


def test_what_is_no_result_is_not_taken_for_one():
    for body in (b"[]", b"{", b""):
        script = Script(outcome(result={"$blob": TASK}), Reply(200, {}, body))
        with pytest.raises(errors.InternalFailure, match="no result"):
            complete(script)
