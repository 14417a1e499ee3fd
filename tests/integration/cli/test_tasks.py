"""Tests of `cartrita tasks`."""

import json

import pytest

from cartrita.clock import new_id


@pytest.fixture
def task_id(here):
    return here("run", "system.echo", "payload=1", "delayMs=9000", "--async").stdout.strip()


def test_a_task_is_shown_cancelled_and_shown_again(here, task_id):
    shown = here("tasks", "show", task_id)
    assert shown.exit_code == 0
    assert shown.stdout.split()[0] in ("PENDING", "RUNNING")
    assert "is being cancelled" in here("tasks", "cancel", task_id).stdout
    ended = here("tasks", "show", task_id, "--wait", "5", "--json")
    assert json.loads(ended.stdout)["status"] == "CANCELLED"
    again = here("tasks", "cancel", task_id, "--json")
    assert json.loads(again.stdout) == {"taskId": task_id, "cancelled": False}


def test_waiting_for_a_task_that_goes_on_exits_with_3(here, task_id):
    done = here("tasks", "show", task_id, "--wait", "0.05")
    assert done.exit_code == 3
    assert task_id in done.stderr
    here("tasks", "cancel", task_id)


def test_several_are_cancelled_and_one_that_is_not_there_keeps_nobody(here):
    first, second = (
        here("run", "system.echo", "payload=1", "delayMs=9000", "--async").stdout.strip()
        for _ in range(2)
    )
    unknown = new_id()
    done = here("tasks", "cancel", first, unknown, "x", second, "--json")
    assert done.exit_code == 3
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told == [{"taskId": task, "cancelled": True} for task in (first, second)]
    assert unknown in done.stderr
    assert "'x' is no task id" in done.stderr


def test_a_task_of_nobody_exits_with_3(here):
    unknown = new_id()
    for command in ("show", "cancel"):
        done = here("tasks", command, unknown)
        assert done.exit_code == 3
        assert unknown in done.stderr


def test_what_is_no_id_is_told(here):
    done = here("tasks", "show", "first")
    assert done.exit_code == 3
    assert "'first' is no task id" in done.stderr


def test_one_that_was_cancelled_is_tried_again_as_one_new_task(here, task_id):
    here("tasks", "cancel", task_id)
    here("tasks", "show", task_id, "--wait", "5")
    told = [json.loads(here("tasks", "retry", task_id, "--json").stdout) for _ in range(2)]
    assert told[0] == told[1]
    assert told[0]["retryOf"] == task_id
    assert told[0]["taskId"] in here("tasks", "retry", task_id).stdout
    here("tasks", "cancel", told[0]["taskId"])


def test_one_s_own_answers_are_erased(here):
    told = json.loads(here("answers", "erase", "--json").stdout)
    assert (told["owner"].partition(":")[0], told["erased"]) == ("user", 0)
    assert "0 are erased" in here("answers", "erase", told["owner"]).stdout
    assert here("answers", "erase", "everybody").exit_code == 2
