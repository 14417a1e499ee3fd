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
