"""Tests of what is sent."""

import json
import math
from datetime import UTC, datetime
from uuid import UUID

import pytest

from cartrita.client import calls
from cartrita.client.calls import submission
from cartrita.clock import new_uuid
from cartrita.errors import InvalidParameters
from cartrita.protocol.task import Budget, TaskRequest
from cartrita.protocol.wire import WireModel


def sent(*arguments, **options):
    """Return the body of a submission, as the server reads it."""
    task = submission(*arguments, options)
    body = json.loads(task.waiting().body)
    TaskRequest.model_validate_json(task.waiting().body, strict=True)
    return body


def test_every_submission_has_an_id_of_its_own():
    first, second = submission("system.echo", {}, {}), submission("system.echo", {}, {})
    assert first.task_id != second.task_id
    assert UUID(first.task_id).version == 7
    assert json.loads(first.body)["taskId"] == first.task_id


def test_the_callers_own_id_is_kept():
    own = new_uuid()
    assert submission("system.echo", {}, {"task_id": own}).task_id == str(own)


def test_options_travel_under_their_wire_names():
    body = sent(
        "system.echo",
        {"payload": None},
        priority=9,
        timeout=1.5,
        deadline=datetime(2030, 1, 1, tzinfo=UTC),
        delivery="AT_MOST_ONCE",
        session_id="s",
        budget=Budget(max_usd=0.5),
        metadata={"team": "blue"},
    )
    assert body["parameters"] == {"payload": None}
    assert (body["priority"], body["timeout"], body["delivery"]) == (9, 1500, "AT_MOST_ONCE")
    assert body["deadline"].startswith("2030-01-01")
    assert body["budget"] == {"maxUsd": 0.5}
    assert body["metadata"] == {"team": "blue"}


def test_what_belongs_into_headers_is_not_in_the_body():
    task = submission("a", {}, {"idempotency_key": "k", "traceparent": "00-1-2-01"})
    assert task.waiting().headers == {"Idempotency-Key": "k", "traceparent": "00-1-2-01"}
    assert task.asynchronous().headers["Prefer"] == "respond-async"
    assert set(json.loads(task.body)) == {
        "taskType",
        "parameters",
        "taskId",
        "priority",
        "metadata",
    }


def test_typed_parameters_are_written_as_on_the_wire():
    class Query(WireModel):
        max_length: int

    assert sent("a", Query(max_length=3))["parameters"] == {"maxLength": 3}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"priority": 11}, "priority"),
        ({"timeout": 0.5}, "timeout"),
        ({"task_id": "x"}, "task_id"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_a_wrong_option_is_refused_by_name_before_anything_is_sent(options, field):
    with pytest.raises(InvalidParameters) as told:
        submission("a", {}, options)
    assert field.replace("_", "") in told.value.fields[0].field.lower().replace("_", "")


@pytest.mark.parametrize("value", [math.nan, object(), "\ud800"])
def test_what_is_no_json_is_refused_before_anything_is_sent(value):
    with pytest.raises(InvalidParameters, match="JSON"):
        submission("a", {"value": value}, {})


def test_a_look_waits_no_longer_than_the_server_allows():
    assert calls.look(new_uuid(), 5).query == {"wait": "5.000"}
    assert calls.look(new_uuid(), 1e6).query == {"wait": "30.000"}
    assert calls.look(new_uuid(), -1).query == {}


def test_an_id_that_is_none_is_refused_before_anything_is_sent():
    with pytest.raises(InvalidParameters, match=r"'\.\./health'"):
        calls.look("../health")


def test_no_secret_is_shown():
    shown = repr([calls.sign_in("a@b.example", "hunter22"), calls.refreshment("hunter22")])
    assert "hunter22" not in shown


def test_lists_are_asked_for_in_pages():
    before = new_uuid()
    assert calls.quarantined(5, None).query == {"limit": "5"}
    assert calls.quarantined(5, before).query == {"limit": "5", "before": str(before)}
    assert calls.record(5, None).query == {"limit": "5"}
    assert calls.record(5, 0).query == {"limit": "5", "before": "0"}


def test_a_retry_says_only_what_is_different():
    assert calls.retrial(new_uuid(), None).body is None
    assert json.loads(calls.retrial(new_uuid(), {"a": 1}).body) == {"parameters": {"a": 1}}


def test_keys_are_made_once_listed_in_pages_and_revoked_by_id():
    made = calls.key_making("ci", ("tasks:*",), None)
    assert json.loads(made.body) == {"name": "ci", "scopes": ["tasks:*"], "expiresInDays": None}
    assert not made.repeatable
    key_id = str(new_uuid())
    assert calls.keys(5, key_id).query == {"limit": "5", "before": key_id}
    assert calls.key_revocation(key_id).path == f"/v3/keys/{key_id}"
    with pytest.raises(InvalidParameters):
        calls.key_revocation("x")


def test_effects_are_asked_for_by_their_state():
    before = new_uuid()
    assert calls.effects("done", 5, None).query == {"state": "done", "limit": "5"}
    assert calls.effects("done", 5, before).query["before"] == str(before)


def test_a_decision_has_a_result_only_where_there_is_one():
    call = calls.resolution(new_uuid(), "done", None)
    assert json.loads(call.body) == {"outcome": "done"}
    assert not call.repeatable
    call = calls.resolution(new_uuid(), "done", [0])
    assert json.loads(call.body) == {"outcome": "done", "result": [0]}
    with pytest.raises(InvalidParameters, match="no effect id") as refused:
        calls.resolution("..", "done", None)
    assert refused.value.fields[0].field == "effectId"


@pytest.mark.parametrize("build", [calls.inspection, calls.discarding])
def test_quarantined_tasks_are_named_by_their_ids(build):
    with pytest.raises(InvalidParameters, match=r"'\.\.'"):
        build("..")
