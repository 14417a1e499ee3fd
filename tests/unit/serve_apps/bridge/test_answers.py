"""Errors of ours, as v2's clients are told of them."""

import pytest

from cartrita.errors import (
    AgentFailed,
    InvalidParameters,
    ModelRequired,
    NotFound,
    NothingToRetry,
    RateLimitExceeded,
    StillRunning,
    TaskCancelled,
    TaskTimeout,
    leaves,
)
from serve_apps.bridge.answers import refusal_of
from serve_apps.bridge.calls import failure
from serve_apps.bridge.table import Row, Words


@pytest.mark.parametrize("kind", leaves().values(), ids=leaves())
def test_every_error_has_a_status_and_both_names(kind):
    told = refusal_of(kind("It did not work.", fields=[("a", "is wrong")]))
    assert 400 <= told.status < 600
    assert told.body["error"]
    assert told.body["message"] == "It did not work."
    assert told.body["details"] == [{"field": "a", "message": "is wrong"}]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidParameters("x"), 400),
        (NotFound("x"), 404),
        (StillRunning("x"), 409),
        (NothingToRetry("x"), 409),
        (TaskTimeout("x"), 408),
        (TaskCancelled("x"), 499),
        (AgentFailed("x"), 500),
        (ModelRequired("x"), 501),
    ],
)
def test_statuses_are_v2s(error, status):
    assert refusal_of(error).status == status


def test_who_asks_too_often_is_told_when_to_come_back():
    told = refusal_of(RateLimitExceeded("Too many.", retry_after=2.1))
    assert told.headers["Retry-After"] == "3"
    assert told.body["retryAfter"] == 3


def test_a_row_has_words_of_its_own_for_a_reason_before_a_code():
    words = {"NOT_FOUND": Words(error="Unknown"), "AUTHORIZATION_FAILED": Words(status=418)}
    row = Row(route="GET /api/x", page="now", errors=words)
    assert refusal_of(NotFound("There is no y."), row).body["error"] == "Unknown"
    assert refusal_of(NotFound("There is no y."), row).body["message"] == "There is no y."


@pytest.mark.parametrize(
    ("response", "code", "reason"),
    [
        ({"status": "TIMEOUT"}, "TASK_TIMEOUT", None),
        ({"status": "CANCELLED", "errorCode": "TASK_CANCELLED"}, "TASK_CANCELLED", None),
        ({"status": "FAILED"}, "INTERNAL_ERROR", None),
        (
            {"status": "FAILED", "errorCode": "CONFIGURATION_ERROR", "reason": "MODEL_REQUIRED"},
            "CONFIGURATION_ERROR",
            "MODEL_REQUIRED",
        ),
        ({"status": "FAILED", "errorCode": "AGENT_ERROR", "reason": "QUARANTINED"}, "AGENT_ERROR",
         "QUARANTINED"),
    ],
)  # fmt: skip
def test_what_became_of_a_task_is_the_error_it_is(response, code, reason):
    error = failure(response)
    assert (error.code, error.reason) == (code, reason)
    assert error.message


def test_details_name_the_clients_own_fields_where_a_row_knows_them():
    takes = "{query: body.query, searchType: body.search_type, kind: 'x'}"
    row = Row(route="GET /api/x", task="knowledge.query", auth="user", takes=takes)
    names = ("searchType", "query.0", "kind")
    error = InvalidParameters("x", fields=[(f"parameters.{name}", "is wrong") for name in names])
    told = [one["field"] for one in refusal_of(error, row).body["details"]]
    assert told == ["search_type", "query.0", "parameters.kind"]
