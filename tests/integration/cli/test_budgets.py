"""Tests of `cartrita budgets` and `cartrita usage`."""

import json

import pytest

from cartrita.clock import new_id


@pytest.fixture
def budget():
    """Give the id of a tenant's budget that nobody has set."""
    return f"tenant:{new_id()}"


@pytest.fixture
def told(here):
    """Run a command and return what it tells as JSON."""

    def run(*arguments):
        done = here(*arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return run


def test_a_budget_is_set_shown_and_taken_back(told, here, budget):
    row = told("budgets", "set", budget, "--usd", "2.5", "--tokens", "900", "--period", "total")
    assert (row["maxUsd"], row["maxTokens"], row["period"]) == (2.5, 900, "total")
    assert row["isSet"] is True
    assert told("budgets", "show", budget) == row
    assert row in told("budgets", "show", "--limit", "200")
    shown = here("budgets", "show", budget)
    assert shown.exit_code == 0
    assert "2.5" in shown.stdout
    assert told("budgets", "set", budget, "--default")["isSet"] is False


@pytest.mark.parametrize(
    "arguments",
    [("tenant:x",), ("tenant:x", "--default", "--usd", "1"), ("everybody", "--usd", "1"),
     ("tenant:", "--usd", "1"), ("tenant:x", "--usd", "-1")],
)  # fmt: skip
def test_what_is_no_budget_is_refused_before_anything_is_asked(here, arguments):
    assert here("budgets", "set", *arguments).exit_code == 2


@pytest.mark.parametrize("by", ["model", "agent", "user", "day"])
def test_usage_is_added_up(told, here, by):
    found = told("usage", "--by", by, "--since", "7d")
    assert found["by"] == by
    assert found["costUsd"] == sum(row["costUsd"] for row in found["rows"])
    assert here("usage", "--by", by).exit_code == 0
