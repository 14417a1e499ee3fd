"""Tests of `cartrita run --stream`, and of what Ctrl-C does to a run."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.support.processes import running


def test_words_are_on_standard_output_and_all_else_is_beside(here):
    done = here("run", "busy.work", "text=it", "--stream")
    assert done.exit_code == 0
    assert done.stdout == "one two three\n"
    told = [line.split()[0] for line in done.stderr.splitlines()]
    assert told == ["accepted", "queued", "started", "tool", "COMPLETED"]


def test_a_task_without_words_gives_its_result(here):
    done = here("run", "system.echo", "payload=7", "--stream")
    assert json.loads(done.stdout) == {"payload": 7}


def test_json_is_a_line_for_each_event(here):
    done = here("run", "busy.work", "--stream", "--json")
    types = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert types[:3] == ["accepted", "queued", "started"]
    assert "token" in types
    assert types[-1] == "completed"


def test_a_failure_is_told_and_exits_with_1(here):
    done = here("run", "test.unlucky", "--stream")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "AGENT_ERROR: It could not be done." in done.stderr


def test_a_refusal_exits_with_3(here):
    assert here("run", "system.ehco", "--stream").exit_code == 3


def test_stream_and_async_do_not_go_together(here):
    assert here("run", "system.echo", "payload=1", "--stream", "--async").exit_code == 2


@pytest.mark.parametrize("words", [(), ("--stream",)])
def test_ctrl_c_leaves_the_task_alone_and_says_so(here, home, api, words):
    environment = {"PATH": os.environ["PATH"], "CARTRITA_HOME": str(home), "HOME": str(home)}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    argv = (sys.executable, "-m", "cartrita", "--url", api, "run", "system.echo", "payload=1")
    with running(
        *argv, "delayMs=9000", *words, env=environment, stderr=subprocess.PIPE, text=True
    ) as run:
        task_id = newest(here)
        run.send_signal(signal.SIGINT)
        assert run.wait(20) == 130
        told = run.stderr.read()
        run.stderr.close()
    assert f"cartrita tasks cancel {task_id}" in told
    assert json.loads(here("tasks", "cancel", task_id, "--json").stdout)["cancelled"]


def newest(here):
    """Return the task that runs now, once there is one."""
    while True:
        words = ("--status", "RUNNING", "--status", "PENDING", "--limit", "1", "--json")
        tasks = json.loads(here("tasks", "list", *words).stdout)["tasks"]
        if tasks:
            return tasks[0]["taskId"]
