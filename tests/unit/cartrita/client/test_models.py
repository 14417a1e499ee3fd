"""Tests of what callers get."""

import pytest

from actors.agents.health import Health
from cartrita import errors
from cartrita.catalog import Catalog
from cartrita.client.models import TaskOutcome, TaskType
from cartrita.schema import catalog_entry

ID = "018bcfe5-6800-7000-8000-000000000001"


def outcome(**fields):
    return TaskOutcome.model_validate({"taskId": ID, **fields})


def test_a_completed_task_unwraps_to_its_result():
    assert outcome(status="COMPLETED", result={"a": 1}).unwrap() == {"a": 1}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"status": "FAILED", "errorCode": "AGENT_ERROR"}, errors.AgentFailed),
        (
            {"status": "FAILED", "errorCode": "CONFIGURATION_ERROR", "reason": "MODEL_REQUIRED"},
            errors.ModelRequired,
        ),
        ({"status": "TIMEOUT", "errorCode": "TASK_TIMEOUT"}, errors.TaskTimeout),
        ({"status": "CANCELLED", "errorCode": "TASK_CANCELLED"}, errors.TaskCancelled),
        ({"status": "FAILED"}, errors.InternalFailure),
        ({"status": "RUNNING"}, errors.StillRunning),
        ({"status": "PENDING"}, errors.StillRunning),
    ],
)
def test_any_other_end_unwraps_to_its_error(fields, kind):
    with pytest.raises(errors.CartritaError) as told:
        outcome(**fields).unwrap()
    assert type(told.value) is kind


def test_the_error_says_what_the_task_said():
    failed = outcome(status="FAILED", errorCode="AGENT_ERROR", errorMessage="No.", reason="ODD")
    with pytest.raises(errors.AgentFailed, match=r"^No\.$") as told:
        failed.unwrap()
    assert told.value.reason == "ODD"


def test_what_a_newer_server_adds_is_passed_over():
    found = outcome(status="COMPLETED", mood="good", metrics={"joules": 3, "costUsd": 0.5})
    assert found.metrics.cost_usd == 0.5


def test_the_catalogue_of_the_server_is_read():
    spec = Catalog.of([Health]).task("system.echo")
    found = TaskType.model_validate(catalog_entry(spec))
    assert (found.task_type, found.agent, found.idempotent) == ("system.echo", "health", True)
    assert (found.delivery, found.effects) == ("AT_LEAST_ONCE", ())
    assert "payload" in found.parameters["properties"]
