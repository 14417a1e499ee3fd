"""Tests of the list of commands."""

import subprocess
import sys

import pytest

from cartrita.cli.group import COMMANDS, loaded

HEAVY = {"httpx", "pydantic", "ray", "asyncpg", "redis", "rich.table", "actors", "serve_apps"}
NEVER = {"ray", "actors", "serve_apps"}


def modules_after(program):
    program = f"{program}\nimport sys; print('MODULES', *sys.modules)"
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.rpartition("MODULES")[2].split())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_it_says_of_itself(name):
    summary = COMMANDS[name][1]
    assert (loaded(name).help or "").startswith(summary.rstrip("."))


def test_help_lists_every_command_and_loads_none():
    program = """
from typer.testing import CliRunner
from cartrita.cli import app
done = CliRunner().invoke(app, ["--help"])
print(done.stdout)
assert done.exit_code == 0
from cartrita.cli.group import COMMANDS
assert all(summary in done.stdout for _, summary in COMMANDS.values()), done.stdout
"""
    assert modules_after(program) & HEAVY - {"rich.table"} == set()


def test_no_command_loads_what_only_servers_need():
    names = [name for name in COMMANDS if name not in ("up", "down")]
    program = f"from cartrita.cli.group import loaded\nfor name in {names}: loaded(name)"
    assert modules_after(program) & NEVER == set()


def test_a_command_that_is_not_there_is_guessed(cartrita):
    done = cartrita("statsu")
    assert done.exit_code == 2
    assert "Did you mean 'status'" in done.stderr


@pytest.mark.parametrize("name", ["tasks", "config", "quarantine", "admin"])
def test_a_group_without_a_command_shows_its_help(cartrita, name):
    assert "Usage" in cartrita(name).output


def test_help_of_a_command_names_its_options(cartrita):
    done = cartrita("run", "--help")
    assert done.exit_code == 0
    assert "--timeout" in done.stdout


def test_python_m_runs_the_command_line():
    argv = [sys.executable, "-m", "cartrita", "version", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert '"cartrita"' in done.stdout


def test_completion_knows_the_commands():
    program = "from cartrita.cli import main; main()"
    variables = {
        "_CARTRITA_COMPLETE": "complete_bash",
        "COMP_WORDS": "cartrita st",
        "COMP_CWORD": "1",
    }
    argv = [sys.executable, "-c", program]
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=60, env=variables, check=False
    )
    assert done.stdout.split() == ["status"]


def test_an_error_is_one_line_and_no_traceback(cartrita):
    done = cartrita("--set", "server.port=none", "config", "show")
    assert done.exit_code == 2
    assert done.stderr.startswith("cartrita: Setting 'server.port' (flag server.port) is 'none'")
    assert done.stderr.count("\n") == 1
