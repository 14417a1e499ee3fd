"""Tests of `cartrita effects`."""

import asyncio
import json

import pytest

from cartrita.clock import new_id
from tests.support.effects import doubtful


@pytest.fixture
def doubt(here, inside):
    """Give what leaves an unknown effect behind."""
    assert here("effects", "list").exit_code == 0  # the server is up
    tables = inside.trees[0].tables
    tables.effects.clear()

    def leave(key="ada"):
        return asyncio.run(doubtful(tables, "somebody", key=key, shard=f"x/{key}"))

    return leave


def test_doubts_are_listed(here, doubt):
    effects = sorted([doubt(key) for key in "abc"], reverse=True)
    shown = here("effects", "list")
    assert shown.exit_code == 0
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:]] == effects
    assert "unknown" in shown.stdout
    found = json.loads(here("effects", "list", "--limit", "2", "--json").stdout)
    assert [row["effectId"] for row in found] == effects[:2]
    rest = here("effects", "list", "--before", effects[1], "--json")
    assert [row["effectId"] for row in json.loads(rest.stdout)] == effects[2:]


def test_that_there_is_none_is_told(here, doubt):
    assert "No effect is unknown" in here("effects", "list").stdout
    assert json.loads(here("effects", "list", "--state", "done", "--json").stdout) == []


@pytest.mark.parametrize(
    ("given", "state", "result"),
    [
        (["done"], "done", None),
        (["done", "--result", '{"receipt": 7}'], "done", {"receipt": 7}),
        (["not_done"], "not_done", None),
    ],
)
def test_a_doubt_is_settled(here, doubt, given, state, result):
    effect = doubt()
    done = here("effects", "resolve", effect, *given, "--json")
    assert done.exit_code == 0
    row = json.loads(done.stdout)
    assert (row["effectId"], row["state"], row["result"]) == (effect, state, result)
    assert effect in here("effects", "list", "--state", state).stdout


def test_a_second_decision_is_refused(here, doubt):
    effect = doubt()
    assert f"{effect} is done" in here("effects", "resolve", effect, "done").stdout
    again = here("effects", "resolve", effect, "not_done")
    assert again.exit_code == 3
    assert "was decided" in again.stderr


def test_an_effect_of_nobody_exits_with_3(here, doubt):
    unknown = new_id()
    done = here("effects", "resolve", unknown, "done")
    assert done.exit_code == 3
    assert unknown in done.stderr


@pytest.mark.parametrize(
    "given", [("x", "maybe"), ("x", "done", "--result", "{")], ids=["outcome", "result"]
)
def test_what_cannot_be_said_is_a_usage_error(here, given):
    assert here("effects", "resolve", *given).exit_code == 2
