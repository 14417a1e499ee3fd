"""Tests of `cartrita run`."""

import json
import socket
from uuid import UUID

import pytest


def test_a_completed_task_prints_its_result_and_what_it_took(here):
    done = here("run", "system.echo", 'payload={"a": 1}')
    assert done.exit_code == 0
    assert done.stdout.startswith("COMPLETED ")
    assert '"a": 1' in done.stdout
    for fact in ("ran ", "queued ", "$0", "trace "):
        assert fact in done.stdout


def test_json_is_the_response_of_the_api(here):
    done = here("run", "system.echo", "payload=plain text", "--json")
    answer = json.loads(done.stdout)
    assert (answer["status"], answer["result"]) == ("COMPLETED", {"payload": "plain text"})
    assert {"processingTimeMs", "costUsd"} <= set(answer["metrics"])


def test_a_failed_task_exits_with_1(here):
    done = here("run", "test.unlucky")
    assert done.exit_code == 1
    assert "FAILED" in done.stdout
    assert "AGENT_ERROR: It could not be done." in done.stdout


def test_options_reach_the_task(here):
    arguments = ("--timeout", "1", "--priority", "9", "--json")
    done = here("run", "system.echo", "payload=1", "delayMs=9000", *arguments)
    assert done.exit_code == 1
    assert json.loads(done.stdout)["status"] == "TIMEOUT"


def test_async_prints_the_id_and_does_not_wait(here):
    done = here("run", "system.echo", "payload=1", "delayMs=9000", "--async")
    assert done.exit_code == 0
    task_id = done.stdout.strip()
    assert UUID(task_id).version == 7
    assert here("tasks", "cancel", task_id).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("run", "system.echo", "payload"),
        ("run", "system.echo", "--params", "[1]"),
        ("run", "system.echo", "--params", "{"),
        ("run", "system.echo", "payload=@missing.txt"),
        ("run", "system.echo", "--priority", "11"),
        ("run", "system.echo", "--timeout", "0.1"),
        ("run", "system.echo", "--colour"),
        ("--set", "nothing", "run", "system.echo"),
        ("--set", "no.such=1", "run", "system.echo"),
        ("--set", "server.port=x", "run", "system.echo"),
        ("walk",),
    ],
)
def test_wrong_usage_exits_with_2(here, arguments):
    done = here(*arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("system.ehco",), "Did you mean 'system.echo'"),
        (("system.echo", "delayMs=5"), "parameters.payload"),
        (("system.echo", "payload=1", "delayMs=-1"), "parameters.delayMs"),
    ],
)
def test_a_refused_task_exits_with_3_and_says_why(here, arguments, told):
    done = here("run", *arguments)
    assert done.exit_code == 3
    assert told in done.stderr
    assert done.stderr.startswith("cartrita: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_where_nobody_listens_it_exits_with_3(cartrita, admin):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    done = cartrita("--url", f"http://127.0.0.1:{free}", "run", "system.echo", "payload=1")
    assert done.exit_code == 3
    assert str(free) in done.stderr


def test_without_an_instance_it_exits_with_3_and_says_how_to_start_one(cartrita):
    done = cartrita("run", "system.echo", "payload=1")
    assert done.exit_code == 3
    assert "cartrita up" in done.stderr


def test_without_credentials_it_exits_with_4_and_says_how_to_sign_in(cartrita, api):
    done = cartrita("--url", api, "run", "system.echo", "payload=1")
    assert done.exit_code == 4
    assert "cartrita login" in done.stderr


def test_an_address_that_is_none_exits_with_2(cartrita):
    done = cartrita("--url", "localhost", "run", "system.echo", "payload=1")
    assert done.exit_code == 2
    assert "http://" in done.stderr
