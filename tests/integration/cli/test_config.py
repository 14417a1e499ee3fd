"""Tests of `cartrita config`."""

import json

SECRET = "canary-secret-value"


def test_settings_are_shown_with_where_they_come_from(cartrita, monkeypatch):
    monkeypatch.setenv("CARTRITA_LIMITS__RATE_MAX", "7")
    done = cartrita("--set", "server.port=9999", "config", "show", "--origin")
    assert done.exit_code == 0
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.strip()}
    assert rows["server.port"] == ["9999", "flag", "server.port"]
    assert rows["limits.rate_max"] == ["7", "environment", "CARTRITA_LIMITS__RATE_MAX"]
    assert rows["server.v2_port"] == ["8001", "default"]


def test_secrets_are_masked(cartrita, monkeypatch):
    monkeypatch.setenv("CARTRITA_ADMIN__PASSWORD", SECRET)
    for arguments in ((), ("--origin",), ("--json",)):
        done = cartrita("config", "show", *arguments)
        assert done.exit_code == 0
        assert SECRET not in done.output


def test_json_lists_every_setting(cartrita, home):
    rows = json.loads(cartrita("config", "show", "--json").stdout)
    assert {"name": "home", "value": str(home)}.items() <= rows[0].items()


def test_what_looks_like_markup_is_shown_as_it_is(cartrita):
    done = cartrita("--set", "models.chat_model=[red]x[/]", "config", "show")
    assert "[red]x[/]" in done.stdout


def test_the_home_of_the_option_goes_before_the_environments(cartrita, tmp_path):
    done = cartrita("--home", tmp_path / "other", "config", "show", "--json")
    assert json.loads(done.stdout)[0]["value"] == str(tmp_path / "other")
