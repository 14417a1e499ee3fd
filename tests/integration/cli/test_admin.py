"""Tests of `cartrita admin`."""

import json

import pytest

CANCEL = {"cancel": True}


@pytest.fixture
def orders(inside):
    """Give the commands that come through."""
    inside.bridge.orders.clear()
    return inside.bridge.orders


@pytest.mark.parametrize(
    ("words", "order"),
    [
        (("restart", "system"), ("RESTART", "system", {})),
        (("restart", "system", "grace=0"), ("RESTART", "system", {"grace": 0})),
        (("scale-up", "intelligence/0", "by=2"), ("SCALE_UP", "intelligence/0", {"by": 2})),
        (("scale-down", "intelligence", "to=1"), ("SCALE_DOWN", "intelligence", {"to": 1})),
        (("health-check", "tree"), ("HEALTH_CHECK", "tree", {})),
        (
            ("config-update", "tree", "logLevel=debug", 'pool={"least":0,"most":2}'),
            ("CONFIG_UPDATE", "tree", {"logLevel": "debug", "pool": {"least": 0, "most": 2}}),
        ),
        (("shutdown", "system", "--yes"), ("SHUTDOWN", "system", {})),
        (("emergency-stop", "tree", "cancel=true", "-y"), ("EMERGENCY_STOP", "tree", CANCEL)),
    ],
)
def test_each_command_is_given_as_it_is_written(here, orders, words, order):
    done = here("admin", *words)
    assert done.exit_code == 0, done.stderr
    assert [given[:3] for given in orders] == [order]
    assert done.stdout.split()[:2] == ["ok", order[1]]


@pytest.mark.parametrize("command", ["shutdown", "emergency-stop"])
def test_what_ends_things_is_asked_about_first(here, orders, command):
    for answer in ("n\n", ""):
        refused = here("admin", command, "tree", typed=answer)
        assert refused.exit_code == 1
        assert orders == []
        assert "tree?" in refused.stderr
        assert "tree?" not in refused.stdout
    assert here("admin", command, "tree", typed="y\n").exit_code == 0
    assert len(orders) == 1


def test_a_part_that_could_not_do_it_exits_with_1(here, orders):
    done = here("admin", "restart", "agent:research")
    assert done.exit_code == 1
    assert done.stdout.split()[:2] == ["fail", "agent:research"]
    assert here("admin", "restart", "agent:research", "--json").exit_code == 1


def test_json_is_the_whole_answer(here, orders):
    answer = json.loads(here("admin", "health-check", "tree", "--json").stdout)
    assert answer["results"] == [{"id": "tree", "ok": True, "state": "up"}]


def test_wrong_arguments_are_named(here, orders):
    done = here("admin", "scale-up", "tree", "by=0")
    assert done.exit_code == 3
    assert "arguments.by" in done.stderr
    assert here("admin", "scale-up", "tree", "by").exit_code == 2
    target = here("admin", "restart", "tree", "target=x", "command=y")
    assert target.exit_code == 3
    assert "arguments.target" in target.stderr
    assert orders == []


def test_a_target_that_is_not_there_exits_with_3(here):
    done = here("admin", "restart", "nowhere")
    assert done.exit_code == 3
    assert "nowhere" in done.stderr


def test_the_record_is_shown_newest_first(here, inside):
    inside.bridge.entries.clear()
    here("admin", "scale-up", "intelligence/0", "by=2")
    here("admin", "restart", "nowhere")
    shown = here("admin", "audit").stdout.splitlines()
    assert "RESTART" in shown[1]
    assert "AUTHORIZATION_FAILED" in shown[1]
    assert "SCALE_UP" in shown[2]
    assert "by=2" in shown[2]
    entries = json.loads(here("admin", "audit", "--json", "--before", "2").stdout)
    assert [entry["detail"] for entry in entries] == [{"by": 2}]


def test_help_says_what_a_command_takes(here):
    shown = here("admin", "config-update", "--help").stdout
    assert "maxConcurrentTasks" in "".join(shown.replace("│", "").split())


def test_users_may_not_command(cartrita, api):
    from cartrita.client import Client

    with Client(api) as client:
        client.register("plain-cli@example.org", "correct horse")
    words = ("login", "--email", "plain-cli@example.org", "--password-stdin")
    assert cartrita("--url", api, *words, typed="correct horse\n").exit_code == 0
    done = cartrita("--url", api, "admin", "restart", "tree")
    assert done.exit_code == 4
    assert "administrators" in done.stderr
