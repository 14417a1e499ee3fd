"""Errors as problem documents."""

import json

import pytest

from cartrita.errors import (
    AuthenticationFailed,
    CartritaError,
    ErrorCode,
    InvalidParameters,
    ModelRequired,
    NotFound,
    QueueFull,
    RateLimitExceeded,
    ResourceLimitExceeded,
    ServiceUnavailable,
    StillRunning,
    TaskTimeout,
    leaves,
)
from serve_apps.problems import LONGEST_DETAIL, MOST_ERRORS, STATUS, problem, status_of


def body_of(answer):
    return json.loads(answer.body)


def test_every_code_has_a_status():
    assert set(STATUS) == set(ErrorCode)


@pytest.mark.parametrize("kind", leaves().values(), ids=lambda kind: kind.__name__)
def test_every_error_becomes_a_document(kind):
    answer = problem(kind("It is 'so'."), instance="/x", trace_id="t")

    assert answer.status_code == status_of(kind())
    assert answer.headers["content-type"] == "application/problem+json"
    body = body_of(answer)
    assert body["status"] == answer.status_code
    assert body["code"] == kind.code
    assert body["retryable"] is kind.retryable
    assert body["detail"] == "It is 'so'."
    assert body["title"]
    assert not body["title"].endswith(".")
    assert body.get("reason") == kind.default_reason


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound(), 404),
        (StillRunning(), 409),
        (TaskTimeout(), 503),
        (ModelRequired(), 501),
        (ResourceLimitExceeded(), 413),
        (RateLimitExceeded(), 429),
    ],
)
def test_the_finer_error_decides_the_status(error, status):
    assert status_of(error) == status


def test_the_whole_document():
    error = InvalidParameters("See 'a'.", "WHY", [("a", "is wrong")])

    body = body_of(problem(error, instance="/v3/tasks", trace_id="0af7"))

    assert body == {
        "type": "urn:cartrita:problem:invalid-parameters",
        "title": "A parameter is missing, unknown or out of range",
        "status": 422,
        "detail": "See 'a'.",
        "code": "INVALID_PARAMETERS",
        "retryable": False,
        "instance": "/v3/tasks",
        "reason": "WHY",
        "traceId": "0af7",
        "errors": [{"field": "a", "message": "is wrong"}],
    }


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (QueueFull(retry_after=2.1), "3"),
        (QueueFull(retry_after=0), "1"),
        (ServiceUnavailable(), "1"),
        (RateLimitExceeded(), "1"),
        (StillRunning(), "1"),
    ],
)
def test_says_when_to_come_back_in_whole_seconds(error, seconds):
    assert problem(error).headers["retry-after"] == seconds


def test_does_not_invite_back_who_would_fail_again():
    assert "retry-after" not in problem(InvalidParameters()).headers


def test_a_401_carries_the_challenge():
    challenge = problem(AuthenticationFailed()).headers["www-authenticate"]

    assert challenge.startswith('Bearer realm="cartrita"')
    assert "www-authenticate" not in problem(NotFound()).headers


def test_what_a_client_wrote_is_cut():
    fields = [("n" * 1000, "m" * 5000)] * (MOST_ERRORS + 1)
    error = InvalidParameters("d" * 5000, fields=fields)

    body = body_of(problem(error, instance="/" + "p" * 9000))

    assert len(body["detail"]) == LONGEST_DETAIL
    assert body["detail"].endswith("…")
    assert len(body["errors"]) == MOST_ERRORS
    assert len(body["errors"][0]["field"]) == 200
    assert len(body["instance"]) == LONGEST_DETAIL


def test_the_instance_is_a_uri_reference():
    assert body_of(problem(NotFound(), instance="/a b/é\n"))["instance"] == "/a%20b/%C3%A9%0A"


def test_another_status_may_be_given():
    answer = problem(CartritaError("x"), status=405)

    assert answer.status_code == 405
    assert body_of(answer)["status"] == 405
