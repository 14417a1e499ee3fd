"""Tests of how refusals become errors."""

import pytest

from cartrita import errors
from cartrita.client.models import Account
from cartrita.client.problems import checked, failure_of, read, read_object, refusal
from cartrita.client.steps import Reply
from cartrita.errors import CartritaError, ErrorCode, leaves
from serve_apps.problems import problem as problem_document
from tests.unit.cartrita.client.conftest import BROKEN, UNSENT, problem, reply

OURS = [kind for kind in leaves().values() if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", OURS)
def test_every_error_survives_the_way_over_http(kind):
    sent = kind("What happened.", fields=[("query", "is missing")], retry_after=3)
    answer = problem_document(sent, trace_id="t1")
    got = refusal(reply_of(answer))
    assert type(got) is kind
    assert (got.message, got.reason, got.fields) == (sent.message, sent.reason, sent.fields)
    assert got.retry_after == 3
    assert got.__notes__ == ["trace t1"]


def reply_of(response):
    return Reply(response.status_code, dict(response.headers), bytes(response.body))


def test_a_reason_nobody_knows_is_kept_and_changes_no_class():
    error = failure_of("INVALID_PARAMETERS", "No.", "SOMETHING_NEW")
    assert type(error) is errors.InvalidParameters
    assert error.reason == "SOMETHING_NEW"


def test_a_code_nobody_knows_is_a_defect_of_the_server():
    assert type(failure_of("NEWER_CODE", "No.")) is errors.InternalFailure


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.AuthenticationFailed),
        (404, errors.NotFound),
        (429, errors.RateLimitExceeded),
        (418, errors.InvalidMessage),
        (500, errors.InternalFailure),
        (502, errors.ServiceUnavailable),
        (504, errors.ServiceUnavailable),
        (302, errors.InternalFailure),
    ],
)
def test_without_a_problem_document_the_status_decides(status, kind):
    error = refusal(reply(status))
    assert type(error) is kind
    assert str(status) in error.message


@pytest.mark.parametrize("body", [["x"], "text", {"code": "QUEUE_FULL", "errors": "odd"}])
def test_an_odd_body_is_no_crash(body):
    assert isinstance(refusal(reply(503, body)), CartritaError)


def test_a_date_in_retry_after_is_passed_over():
    assert refusal(problem(503, "QUEUE_FULL", retry_after="Sun, 06 Nov 1994")).retry_after is None


def test_a_call_that_was_not_sent_and_one_that_was_differ():
    with pytest.raises(errors.NetworkFailed, match="nobody") as unsent:
        checked(UNSENT)
    assert not isinstance(unsent.value, errors.ChannelLost)
    with pytest.raises(errors.ChannelLost, match="line"):
        checked(BROKEN)


def test_an_answer_of_somebody_else_says_to_check_the_address():
    with pytest.raises(errors.InternalFailure, match="check that the address"):
        read(Account, reply(200, {"hello": "world"}))
    with pytest.raises(errors.InternalFailure, match="check that the address"):
        read_object(reply(200, ["html"]))


def test_every_code_has_a_class():
    assert {type(failure_of(code, "x")).code for code in ErrorCode} == set(ErrorCode)
