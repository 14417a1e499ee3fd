"""Tests of `cartrita agents`."""

import json


def test_every_agent_is_listed_with_its_task_types(here):
    done = here("agents")
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["intelligence", "unlucky", "test.unlucky", "free", "Fail."] in lines
    assert ["system", "health", "system.echo"] in [line[:3] for line in lines]
    assert "system.health_check" in [line[0] for line in lines]


def test_json_groups_the_catalogue_by_agent(here):
    listed = json.loads(here("agents", "--json").stdout)
    assert [entry["agent"] for entry in listed] == ["unlucky", "busy", "health"]
    assert [task["taskType"] for task in listed[2]["tasks"]] == [
        "system.echo",
        "system.health_check",
    ]


WEATHER = {
    "name": "weather",
    "endpoint": "http://127.0.0.1:1/tasks",
    "summary": "Knows the weather.",
    "taskTypes": [
        {"taskType": "weather.now", "summary": "Tell it.", "parameters": {"type": "object"}}
    ],
    "authentication": {"kind": "bearer", "secret": "correct horse battery"},
}


def test_the_list_says_how_each_agent_is(here):
    shown = here("agents", "list")
    assert shown.exit_code == 0
    rows = {line.split()[1]: line.split() for line in shown.stdout.splitlines() if line.strip()}
    assert rows["health"][:4] == ["system", "health", "up", "here"]
    assert "health" in [row["name"] for row in json.loads(here("agents", "list", "--json").stdout)]


def test_an_external_agent_is_registered_listed_and_removed(here, tmp_path):
    file = tmp_path / "weather.json"
    file.write_text(json.dumps(WEATHER))
    done = here("agents", "register", file)
    assert done.exit_code == 0, done.output
    assert "weather is registered; it takes weather.now" in done.stdout
    again = here("agents", "register", "-", "--json", typed=json.dumps(WEATHER))
    assert json.loads(again.stdout)["replaced"] is True
    listed = json.loads(here("agents", "list", "--json").stdout)
    (row,) = [row for row in listed if row["name"] == "weather"]
    assert row["external"]["endpoint"] == WEATHER["endpoint"]
    assert "horse" not in json.dumps(listed) + done.output
    assert "weather.now" in here("agents", "list").stdout
    assert "is removed" in here("agents", "remove", "weather").stdout
    assert here("agents", "remove", "weather").exit_code == 3


def test_a_registration_that_is_wrong_names_the_field(here, tmp_path):
    file = tmp_path / "weather.json"
    file.write_text(json.dumps({**WEATHER, "endpoint": "ftp://example.org/"}))
    done = here("agents", "register", file)
    assert done.exit_code != 0
    assert "endpoint" in done.output
    file.write_text("[]")
    assert here("agents", "register", file).exit_code == 2
    assert here("agents", "register", tmp_path / "missing.json").exit_code == 2
