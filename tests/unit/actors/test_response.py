"""Outcomes as clients read them."""

import pytest

from actors.response import (
    agent_down,
    attempt_lost,
    attempt_told,
    charged,
    failure,
    in_doubt,
    quarantined,
    respond,
)
from cartrita.errors import (
    NetworkFailed,
    TaskCancelled,
    TaskTimeout,
    leaves,
)
from cartrita.protocol.task import TaskResponse
from tests.support.records import record

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
METRICS = {"processingTimeMs": 1.5, "costUsd": 0.25, "tokensUsed": 7, "customMetrics": {"a": 1}}


def responded(outcome, attempts=1, queued=0.5, **task):
    response = respond(record(**task), outcome, queued=queued, attempts=attempts)
    TaskResponse.model_validate(response)  # it is what the contract says
    return response


@pytest.mark.parametrize("kind", leaves().values(), ids=leaves())
def test_every_error_is_a_response(kind):
    error = kind("what happened", "WHY")
    told = responded(failure(error))
    status = {TaskTimeout: "TIMEOUT", TaskCancelled: "CANCELLED"}.get(kind, "FAILED")
    assert told["status"] == status
    assert (told["errorMessage"], told["errorCode"]) == ("what happened", kind.code)
    assert (told["reason"], told["retryable"]) == ("WHY", kind.retryable)
    assert "result" not in told


def test_a_result_comes_with_its_metrics_and_warnings():
    outcome = {"status": "COMPLETED", "result": {"a": 1}, "metrics": METRICS, "warnings": ["w"]}
    told = responded(outcome, attempts=3, queued=0.25, trace=TRACE)
    assert told["result"] == {"a": 1}
    assert told["warnings"] == ["w"]
    assert told["metrics"] == {**METRICS, "queueTimeMs": 250.0, "retryCount": 2}
    assert told["traceId"] == TRACE[3:35]
    assert "errorCode" not in told


def test_a_task_that_never_ran_has_all_metrics_at_nought():
    told = responded(failure(TaskTimeout()), attempts=0, queued=-1.0)
    assert told["metrics"] == {
        "processingTimeMs": 0.0,
        "costUsd": 0.0,
        "tokensUsed": 0,
        "customMetrics": {},
        "queueTimeMs": 0.0,
        "retryCount": 0,
    }
    assert "traceId" not in told


def test_a_lost_attempt_that_may_not_run_again_has_an_unknown_outcome():
    told = responded(attempt_lost(record(), repeatable=False))
    assert (told["errorCode"], told["reason"]) == ("AGENT_ERROR", "OUTCOME_UNKNOWN")


def test_the_last_lost_attempt_says_how_many_there_were():
    told = responded(attempt_lost(record(max_attempts=4), repeatable=True))
    assert (told["errorCode"], told["reason"]) == ("AGENT_ERROR", "HOST_DIED")
    assert "4 times" in told["errorMessage"]


@pytest.mark.parametrize(
    ("done", "words", "retryable"),
    [([], "no effect", True), (["'email' (1)", "'sms' (2)"], "'email' (1), 'sms' (2)", False)],
)
def test_a_lost_attempt_whose_effects_are_known_tells_them(done, words, retryable):
    told = responded(attempt_told(done))
    assert (told["errorCode"], told["reason"]) == ("AGENT_ERROR", "HOST_DIED")
    assert words in told["errorMessage"]
    assert told["retryable"] == retryable


class TestDoubt:
    def test_without_any_an_outcome_stays_as_it_is(self):
        outcome = failure(NetworkFailed())
        assert in_doubt(outcome, []) is outcome

    def test_a_failure_is_told_as_an_unknown_outcome(self):
        told = responded(in_doubt(failure(NetworkFailed("It broke.")), ["'email' (1)"]))
        assert (told["errorCode"], told["reason"]) == ("AGENT_ERROR", "OUTCOME_UNKNOWN")
        assert not told["retryable"]
        assert told["errorMessage"].startswith("It broke. Whether it had the effect 'email' (1)")

    @pytest.mark.parametrize(
        ("kind", "ended"),
        [
            (TaskTimeout, ("TIMEOUT", "TASK_TIMEOUT")),
            (TaskCancelled, ("CANCELLED", "TASK_CANCELLED")),
        ],
    )
    def test_another_end_stays_what_it_is_and_has_the_reason(self, kind, ended):
        told = responded(in_doubt(failure(kind()), ["'email' (1)"]))
        assert (told["status"], told["errorCode"]) == ended
        assert told["reason"] == "OUTCOME_UNKNOWN"

    def test_a_quarantined_task_stays_in_quarantine(self):
        told = responded(in_doubt(quarantined(record(), 3), ["'email' (1)"]))
        assert told["reason"] == "QUARANTINED"
        assert "'email' (1)" in told["errorMessage"]

    @pytest.mark.parametrize("warnings", [None, ["w"]])
    def test_a_completed_task_is_warned(self, warnings):
        outcome = {"status": "COMPLETED", "result": {}, "warnings": warnings}
        told = responded(in_doubt(outcome, ["'email' (1)"]))
        assert (told["status"], told["warnings"][:-1]) == ("COMPLETED", warnings or [])
        assert "'email' (1)" in told["warnings"][-1]


def test_what_earlier_attempts_used_is_added():
    told = responded(charged({"status": "COMPLETED", "metrics": METRICS}, (0.5, 3)))
    assert told["metrics"]["costUsd"] == 0.75
    assert told["metrics"]["tokensUsed"] == 10
    assert told["metrics"]["customMetrics"] == {"a": 1}
    told = responded(charged(failure(TaskCancelled()), (0.5, 3)))
    assert (told["metrics"]["costUsd"], told["metrics"]["tokensUsed"]) == (0.5, 3)


def test_an_agent_that_is_down_says_when_to_come_back():
    assert agent_down("poet").retry_after == 10
    assert "'poet'" in agent_down("poet").message
