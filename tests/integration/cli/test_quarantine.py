"""Tests of `cartrita quarantine`."""

import json

import pytest

from cartrita.clock import new_id


@pytest.fixture
def ward(inside):
    inside.wards[0].rows.clear()
    return inside.wards[0]


def test_tasks_are_listed_newest_first(here, ward):
    tasks = [ward.admit("somebody") for _ in range(3)][::-1]
    shown = here("quarantine", "list")
    assert shown.exit_code == 0
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:]] == tasks
    assert "system.echo" in shown.stdout
    found = json.loads(here("quarantine", "list", "--limit", "2", "--json").stdout)
    assert [row["taskId"] for row in found] == tasks[:2]
    rest = here("quarantine", "list", "--before", tasks[1], "--json")
    assert [row["taskId"] for row in json.loads(rest.stdout)] == tasks[2:]


def test_that_there_is_none_is_told(here, ward):
    assert "No task is quarantined" in here("quarantine", "list").stdout
    assert json.loads(here("quarantine", "list", "--json").stdout) == []


def test_all_of_a_task_is_shown(here, ward):
    task = ward.admit("somebody")
    assert '"attempts": 3' in here("quarantine", "show", task).stdout
    assert json.loads(here("quarantine", "show", task, "--json").stdout)["taskId"] == task


@pytest.mark.parametrize(
    ("given", "payload"),
    [
        ([], {"payload": 1, "delayMs": 1}),
        (["payload=2"], {"payload": 2, "delayMs": 1}),
        (["--params", '{"payload": 3}'], {"payload": 3}),
        (["--params", '{"payload": 3}', "delayMs=2"], {"payload": 3, "delayMs": 2}),
    ],
)
def test_a_task_is_retried_with_what_is_different(here, ward, monkeypatch, given, payload):
    task = ward.admit("somebody", parameters={"payload": 1, "delayMs": 1})
    seen, submit = [], ward._door.submit

    async def watched(request, *args, **options):
        seen.append(request.parameters)
        return await submit(request, *args, **options)

    monkeypatch.setattr(ward._door, "submit", watched)
    done = here("quarantine", "retry", task, *given, "--json")
    assert done.exit_code == 0
    answer = json.loads(done.stdout)
    assert answer["retryOf"] == task
    assert seen == [payload]
    assert here("tasks", "show", answer["taskId"], "--wait", "5").exit_code == 0


def test_a_second_retry_is_refused(here, ward):
    task = ward.admit("somebody")
    assert "is tried again as" in here("quarantine", "retry", task).stdout
    again = here("quarantine", "retry", task)
    assert again.exit_code == 3
    assert "before" in again.stderr


def test_a_task_is_discarded_once(here, ward):
    task = ward.admit("somebody")
    assert "is discarded" in here("quarantine", "discard", task).stdout
    assert "decided about before" in here("quarantine", "discard", task).stdout
    again = here("quarantine", "discard", task, "--json")
    assert json.loads(again.stdout) == {"taskId": task, "discarded": False}


@pytest.mark.parametrize("command", ["show", "retry", "discard"])
def test_a_task_of_nobody_exits_with_3(here, command):
    unknown = new_id()
    done = here("quarantine", command, unknown)
    assert done.exit_code == 3
    assert unknown in done.stderr
