"""Tests of cartrita/providers/workshop/verdicts.py."""

import pytest

from cartrita.providers.ports_sandbox import Ended, Ran
from cartrita.providers.workshop.verdicts import verdict

UNITTEST = """test_a ... ok
test_b ... FAIL
----------------------------------------------------------------------
Ran 5 tests in 0.002s

FAILED (failures=1, errors=1, skipped=1)
"""
TAP = "# tests 4\n# suites 0\n# pass 2\n# fail 1\n# cancelled 1\n# skipped 0\n"


@pytest.mark.parametrize(
    ("framework", "stdout", "stderr", "counts"),
    [
        ("unittest", "", UNITTEST, (2, 2)),
        ("unittest", "", "Ran 3 tests in 0.1s\n\nOK\n", (3, 0)),
        ("unittest", "Ran 99 tests in 0.1s\n\nOK", "\nRan 1 test in 0.1s\n\nOK\n", (1, 0)),
        ("unittest", "", "Ran 2 tests in 0.1s\n\nOK (skipped=2)\n", (0, 0)),
        ("pytest", "..F\n1 failed, 2 passed, 1 error in 0.01s\n", "", (2, 2)),
        ("node:test", TAP, "", (2, 2)),
    ],
)
def test_what_frameworks_print_is_counted(framework, stdout, stderr, counts):
    code = 1 if counts[1] else 0
    tested = verdict(framework, Ran(Ended.EXITED, code, stdout, stderr))
    assert tested.ran
    assert (tested.passed, tested.failed) == counts
    assert tested.ok == (counts[1] == 0 and counts[0] > 0)


def test_no_test_is_no_success():
    tested = verdict("unittest", Ran(Ended.EXITED, 0, "", "Ran 0 tests in 0.0s\n\nOK\n"))
    assert (tested.ok, tested.note) == (False, "No test was found.")


def test_an_exit_code_speaks_against_what_was_printed():
    tested = verdict("unittest", Ran(Ended.EXITED, 1, "", "Ran 1 test in 0.0s\n\nOK\n"))
    assert (tested.ok, tested.failed) == (False, 1)


def test_tests_that_do_not_end_have_failed():
    tested = verdict("unittest", Ran(Ended.TIME))
    assert (tested.ran, tested.ok, tested.failed) == (True, False, 1)
    assert "time" in tested.note


def test_a_framework_that_is_not_there_is_named():
    ran = Ran(Ended.EXITED, 1, "", "/usr/bin/python3: No module named pytest\n")
    tested = verdict("pytest", ran)
    assert (tested.ran, tested.note) == (False, "pytest is not installed in the sandbox.")


def test_the_end_of_long_output_is_kept():
    said = "x" * 9000 + "\nRan 1 test in 0.0s\n\nOK\n"
    tested = verdict("unittest", Ran(Ended.EXITED, 0, "", said))
    assert len(tested.output) == 4000
    assert tested.passed == 1
