"""Tests of `cartrita tree`."""

import json

from rich.console import Console

from cartrita.cli.tree import drawn


def test_the_live_tree_is_drawn(here):
    done = here("tree")
    assert done.exit_code == 0
    for part in ("orchestrator up", "intelligence/0 up", "system/0.shared.0 up", "health", "pid "):
        assert part in done.stdout


def test_json_is_the_tree_of_the_api(here):
    found = json.loads(here("tree", "--json").stdout)
    assert found["supervisors"][0]["id"] == "intelligence/0"


def text_of(tree, **options):
    console = Console(width=200, **{"color_system": None, **options})
    with console.capture() as captured:
        console.print(drawn(tree))
    return captured.get()


def test_an_ordinary_user_sees_it_without_processes():
    host = {"id": "system/0.h", "state": "up", "agents": ["health"]}
    tree = {"orchestrator": {"state": "up"}, "supervisors": [{"id": "system/0", "hosts": [host]}]}
    assert "pid" not in text_of(tree)
    assert "health" in text_of(tree)


def test_services_and_what_is_down_are_shown():
    tree = {
        "buildId": "3.0+ab",
        "owner": {"pid": 7},
        "orchestrator": {"state": "down"},
        "services": [{"name": "postgres", "state": "quarantined", "pid": None, "restarts": 3}],
    }
    shown = text_of(tree)
    for part in (
        "pid 7",
        "build 3.0+ab",
        "orchestrator down",
        "postgres quarantined",
        "3 restarts",
    ):
        assert part in shown


def test_bad_states_stand_out():
    shards = [
        {"id": f"system/{number}", "state": state}
        for number, state in enumerate(["up", "quarantined", "down", "lost"])
    ]
    shown = text_of({"supervisors": shards}, color_system="standard", force_terminal=True)
    assert "\x1b[32m up" in shown
    assert "\x1b[1;35m quarantined" in shown
    assert "\x1b[1;31m down" in shown
    assert "\x1b[1;31m lost" in shown  # what nobody foresaw is bad news


def test_names_lead_to_rays_dashboard_where_terminals_know_links():
    place = "http://127.0.0.1:8265/#/actors/abc"
    tree = {"orchestrator": {"state": "up", "dashboard": place}, "supervisors": []}
    shown = text_of(tree, color_system="standard", force_terminal=True)
    assert place in shown
    assert place not in text_of(tree)
