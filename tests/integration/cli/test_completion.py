"""Tests of `cartrita completion`, and of what it completes."""

import json
import os
import socket
import subprocess
import sys

import pytest

from tests.support.api_server import ADMIN


@pytest.fixture
def complete(running, home, tmp_path):
    """Press Tab in bash."""
    environment = {"CARTRITA_HOME": str(home), "HOME": str(home)}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    program = tmp_path / "cartrita"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m cartrita "$@"\n')
    program.chmod(0o755)

    def press(*words):
        script = (
            'source <(cartrita completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
            '_cartrita_completion cartrita; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["/bin/bash", "-c", script, "bash", "cartrita", *words],
            env=environment, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.split()

    return press


def test_bash_completes_commands_and_task_types(complete, running, home, api):
    email, password = ADMIN
    (home / "admin.json").write_text(json.dumps({"email": email, "password": password}))
    running(api)
    assert complete("ta") == ["tasks"]
    assert complete("run", "system.e") == ["system.echo"]
    assert complete("tasks", "list", "--type", "test.") == ["test.unlucky"]
    assert complete("tasks", "list", "--status", "CO") == ["COMPLETED"]


def test_where_nobody_answers_there_is_nothing_to_offer(complete, running):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    running(f"http://127.0.0.1:{free}")
    assert complete("run", "system.e") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_its_own(cartrita, shell):
    done = cartrita("completion", shell)
    assert done.exit_code == 0
    assert "_CARTRITA_COMPLETE" in done.stdout or "complete" in done.stdout


def test_another_shell_is_wrong_usage(cartrita):
    assert cartrita("completion", "tcsh").exit_code == 2
