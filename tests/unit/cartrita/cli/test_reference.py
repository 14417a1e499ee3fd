"""Tests of the generated page about the command line."""

from pathlib import Path

import pytest

from cartrita.cli.exits import MEANINGS, Exit
from cartrita.cli.reference import PAGE, leaves, main, page

ROOT = Path(__file__).parents[4]
NO_JSON = {"completion"}
"""Prints a program for a shell."""


def test_the_committed_page_is_the_generated_one():
    assert (ROOT / PAGE).read_text(encoding="utf-8") == page()


def test_a_page_that_is_not_current_is_told_and_written(tmp_path, capsys):
    (tmp_path / PAGE).parent.mkdir(parents=True)
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert PAGE in capsys.readouterr().err
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0


def test_every_exit_code_has_its_line():
    assert set(MEANINGS) == set(Exit)
    assert all(f"| {code.value} | {MEANINGS[code]} |" in page() for code in Exit)


@pytest.mark.parametrize(("name", "command"), list(leaves()))
def test_every_command_prints_json(name, command):
    options = {option for one in command.params for option in one.opts}
    assert ("--json" in options) != (name in NO_JSON)
