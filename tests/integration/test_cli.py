"""Tests of the command line as a process of its own."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest

from cartrita.client import Client
from tests.support.api_server import ADMIN, api_server
from tests.support.processes import eventually


@pytest.fixture(scope="module")
def api():
    with api_server() as url:
        yield url


@pytest.fixture
def command(api, tmp_path):
    email, password = ADMIN
    (tmp_path / "admin.json").write_text(json.dumps({"email": email, "password": password}))
    argv = [sys.executable, "-m", "cartrita", "--home", str(tmp_path), "--url", api]
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}

    def start(*arguments):
        return subprocess.Popen(
            [*argv, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean,
        )

    return start


def in_flight(api):
    with Client(api) as client:
        return client.health()["queues"]["system/0"]["inFlight"]


def test_after_ctrl_c_the_task_goes_on_and_is_named(api, command):
    with command("run", "system.echo", "payload=1", "delayMs=10000") as process:
        assert asyncio.run(eventually(lambda: in_flight(api) == 1, 20))
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in told
    task_id = told.split()[1]
    with Client(api, None, *ADMIN) as client:
        assert not client.get(task_id).status.terminal
        assert client.cancel(task_id) is True


def test_commands_at_the_same_time_share_a_session(command):
    running = [command("run", "system.echo", f"payload={n}", "--json") for n in range(3)]
    answers = [json.loads(process.communicate(timeout=60)[0]) for process in running]
    assert [answer["result"]["payload"] for answer in answers] == [0, 1, 2]


def test_a_reader_that_leaves_is_no_error(command):
    with command("config", "show", "--json") as process:
        process.stdout.close()
        told = process.stderr.read()
        process.wait(20)
    assert "Traceback" not in told
