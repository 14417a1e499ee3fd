"""Tests of `cartrita approvals`."""

import asyncio
import json

import pytest

from tests.support.approvals import question


@pytest.fixture
def ask(here, inside):
    """Give what asks a question."""
    assert here("approvals", "list").exit_code == 0  # the server is up
    questions = inside.trees[0].questions
    questions._kept.clear()

    def asks(**fields):
        return asyncio.run(questions.ask(question("somebody", **fields))).id

    return asks


def test_questions_are_listed(here, ask):
    asked = sorted([ask() for _ in range(3)], reverse=True)
    shown = here("approvals", "list")
    assert shown.exit_code == 0
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:]] == asked
    found = json.loads(here("approvals", "list", "--limit", "2", "--json").stdout)
    assert [row["approvalId"] for row in found] == asked[:2]
    rest = json.loads(here("approvals", "list", "--before", asked[1], "--json").stdout)
    assert [row["approvalId"] for row in rest] == asked[2:]


def test_that_there_is_none_is_told(here, ask):
    assert "No approval is pending" in here("approvals", "list").stdout


@pytest.mark.parametrize(("verb", "state"), [("approve", "approved"), ("deny", "denied")])
def test_a_question_is_decided_once(here, ask, verb, state):
    asked = ask()
    done = here("approvals", verb, asked, "--reason", "Because.", "--json")
    assert done.exit_code == 0
    row = json.loads(done.stdout)
    assert (row["approvalId"], row["state"], row["reason"]) == (asked, state, "Because.")
    again = here("approvals", verb, asked)
    assert again.exit_code != 0
    assert "already" in again.output
