"""Tests of `cartrita tasks list`."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import typer

from cartrita.cli.listing import moment
from cartrita.clock import new_id


@pytest.fixture
def session(here, tmp_path):
    """Give a conversation of three tasks, the last of which failed."""
    name = new_id()
    lines = [
        {"taskType": "system.echo", "parameters": {"payload": 1}, "sessionId": name},
        {"taskType": "system.echo", "parameters": {"payload": 2}, "sessionId": name},
        {"taskType": "test.unlucky", "parameters": {}, "sessionId": name},
    ]
    for line in lines:  # one after the other, so that their order is known
        path = tmp_path / "one.jsonl"
        path.write_text(json.dumps(line))
        here("batch", path)
    return name


def listed(here, *arguments):
    done = here("tasks", "list", "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_the_newest_comes_first_and_a_page_leads_to_the_next(here, session):
    whole = listed(here, "--session", session)
    assert [task["status"] for task in whole["tasks"]] == ["FAILED", "COMPLETED", "COMPLETED"]
    assert whole["next"] is None
    first = listed(here, "--session", session, "--limit", "2")
    rest = listed(here, "--session", session, "--after", first["next"])
    assert first["tasks"] + rest["tasks"] == whole["tasks"]


def test_filters_go_together(here, session):
    def ids(*arguments):
        return [
            task["taskType"] for task in listed(here, "--session", session, *arguments)["tasks"]
        ]

    assert ids("--status", "failed", "--status", "TIMEOUT") == ["test.unlucky"]
    assert ids("--type", "system.echo", "--since", "1h") == ["system.echo"] * 2
    assert ids("--until", "1h") == []
    assert ids("--since", "2020-01-01", "--status", "COMPLETED") == ["system.echo"] * 2


def test_an_administrator_asks_for_one_user_s(here, session):
    user = listed(here, "--session", session)["tasks"][0]["user"]
    assert len(listed(here, "--session", session, "--user", user)["tasks"]) == 3
    assert listed(here, "--session", session, "--user", "nobody")["tasks"] == []


def test_all_is_a_line_for_each_task(here, session):
    done = here("tasks", "list", "--session", session, "--all", "--limit", "1", "--json")
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 3


def test_people_read_a_table(here, session):
    done = here("tasks", "list", "--session", session, "--limit", "1")
    header, row = done.stdout.splitlines()
    assert header.split() == ["Task", "Status", "Accepted", "Took", "Cost", "Type", "User"]
    assert "test.unlucky (AGENT_ERROR)" in row
    assert "--after" in done.stderr
    assert "no such tasks" in here("tasks", "list", "--session", new_id()).stdout


def test_times_are_dates_or_spans():
    now = datetime.now(UTC)
    assert abs(moment("90m") - (now - timedelta(minutes=90))) < timedelta(minutes=1)
    assert moment("2026-01-01T00:00:00+02:00") == datetime(2025, 12, 31, 22, tzinfo=UTC)
    for wrong in ("", "yesterday", "5y", "99999999999w", "999999999w"):
        with pytest.raises(typer.BadParameter):
            moment(wrong)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--status", "DONE"), 2),
        (("--since", "soon"), 2),
        (("--limit", "0"), 2),
        (("--after", "x"), 3),
    ],
)
def test_a_wrong_filter_is_named(here, arguments, code):
    done = here("tasks", "list", *arguments)
    assert done.exit_code == code
    assert "Traceback" not in done.output
