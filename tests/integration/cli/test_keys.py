"""Tests of `cartrita keys`."""

import json
import re

import pytest

from cartrita.clock import new_id


@pytest.fixture
def made(here):
    """Make a key and return it."""

    def make(*arguments):
        done = here("keys", "create", "ci", *arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return make


def test_a_key_is_printed_alone_and_all_else_beside_it(here):
    done = here("keys", "create", "ci", "--days", "7")
    assert done.exit_code == 0
    assert re.fullmatch(r"ctk_[A-Za-z0-9]{32}\n", done.stdout)
    assert "not shown again" in done.stderr


def test_a_key_has_the_scopes_it_is_given(made):
    assert made()["scopes"] == ["tasks:*", "agents:read"]
    assert made("--scope", "tasks:a.*", "--scope", "keys:read")["scopes"] == [
        "tasks:a.*",
        "keys:read",
    ]


def test_keys_are_listed_the_newest_first_without_their_secrets(here, made):
    old, new = made(), made()
    shown = here("keys", "list", "--limit", "2")
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:]] == [
        new["keyId"],
        old["keyId"],
    ]
    assert "never" in shown.stdout
    assert "ctk_" not in shown.stdout
    found = json.loads(
        here("keys", "list", "--before", new["keyId"], "--limit", "1", "--json").stdout
    )
    assert [row["keyId"] for row in found] == [old["keyId"]]
    assert "key" not in found[0]


def test_commands_take_a_key_until_it_is_revoked(here, made, monkeypatch):
    key = made()
    monkeypatch.setenv("CARTRITA_TOKEN", key["key"])
    assert here("run", "system.echo", "payload=hello").exit_code == 0
    refused = here("keys", "list")
    assert refused.exit_code == 4
    assert "keys:read" in refused.stderr
    monkeypatch.delenv("CARTRITA_TOKEN")
    assert f"{key['keyId']} is revoked" in here("keys", "revoke", key["keyId"]).stdout
    monkeypatch.setenv("CARTRITA_TOKEN", key["key"])
    assert here("tree").exit_code == 4  # not as the administrator, who could sign in


def test_a_key_of_nobody_exits_with_3(here):
    done = here("keys", "revoke", new_id())
    assert done.exit_code == 3
    assert "There is no API key" in done.stderr


def test_that_a_key_is_revoked_is_told_in_json(here, made):
    key_id = made()["keyId"]
    done = here("keys", "revoke", key_id, "--json")
    assert json.loads(done.stdout) == {"keyId": key_id, "revoked": True}


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        (("create", "ci", "--scope", "what?"), 3, "scopes"),
        (("create", "ci", "--days", "9999"), 3, "expiresInDays"),
        (("create", "ci", "--days", "0"), 2, "days"),
        (("create", ""), 3, "name"),
        (("revoke", "x"), 3, "UUID"),
    ],
)
def test_what_is_wrong_is_named(here, given, code, told):
    done = here("keys", *given)
    assert done.exit_code == code, done.output
    assert told in done.stderr
