"""Tests of where commands go and as whom."""

import json

import pytest

from cartrita.cli.connection import connect, find, sessions_of
from cartrita.cli.options import Options
from cartrita.errors import AuthenticationFailed, ServiceUnavailable
from tests.support.api_server import ADMIN


def test_without_anything_it_is_the_port_of_the_settings(home):
    place = find(Options(None, {"server.port": "8123"}))
    assert (place.url, place.own, place.state) == ("http://127.0.0.1:8123", True, None)


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:8002"), ("::", "http://[::1]:8002"), ("h", "http://h:8002")],
)
def test_an_address_to_listen_on_becomes_one_to_reach(home, host, url):
    assert find(Options(None, {"server.host": host})).url == url


def test_an_instance_that_runs_says_where_it_is(running):
    running("http://127.0.0.1:9001")
    assert find(Options()).url == "http://127.0.0.1:9001"


def test_another_address_has_a_session_of_its_own(running):
    running("http://127.0.0.1:9001")
    own, other = find(Options()), find(Options("http://127.0.0.1:9002/"))
    assert other.url == "http://127.0.0.1:9002"
    assert sessions_of(own)._path != sessions_of(other)._path


def test_where_no_instance_runs_none_is_called(home):
    with pytest.raises(ServiceUnavailable, match="cartrita up"):
        connect(Options())


def test_an_attached_instance_needs_no_owner_here(home):
    with connect(Options(None, {"lifetime": "attached"})) as client:
        assert client.base_url == "http://127.0.0.1:8002"


def test_the_session_of_the_owner_is_used(running, home, api):
    running(api)
    with connect(Options(api)) as other:
        opened = other.login(*ADMIN)
        session = other._talk._exchange._sessions.read()
    assert not [path for path in home.iterdir() if "password" in path.read_text()]
    kept = {"token": session.token, "refreshToken": session.refresh_token}
    (home / "session.json").write_text(json.dumps(kept))
    with connect(Options()) as client:
        assert client.me() == opened


def test_a_session_that_ended_is_renewed_for_the_commands_that_follow(running, home, api):
    running(api)
    with connect(Options()) as client:
        client.login(*ADMIN)
    kept = json.loads((home / "session.json").read_text())
    (home / "session.json").write_text(json.dumps({**kept, "token": "spent"}))
    with connect(Options()) as client:
        client.me()
    renewed = json.loads((home / "session.json").read_text())
    assert renewed["token"] != "spent"
    assert renewed["refreshToken"] != kept["refreshToken"]
    assert (home / "session.json").stat().st_mode & 0o077 == 0


def test_the_password_of_the_settings_signs_in(home, api, monkeypatch):
    monkeypatch.setenv("CARTRITA_ADMIN__EMAIL", ADMIN[0])
    monkeypatch.setenv("CARTRITA_ADMIN__PASSWORD", ADMIN[1])
    with connect(Options(api)) as client:
        assert client.me().email == ADMIN[0]


def test_a_token_of_the_environment_goes_before_everything(admin, api, monkeypatch):
    monkeypatch.setenv("CARTRITA_TOKEN", "no.such.token")
    with connect(Options(api)) as client:
        assert client.me().email == ADMIN[0]  # refused, so the credentials were asked


@pytest.mark.parametrize("stored", ["", "[]", '{"email": 1}'])
def test_broken_credentials_are_none(home, api, stored):
    home.mkdir()
    (home / "admin.json").write_text(stored)
    with connect(Options(api)) as client, pytest.raises(AuthenticationFailed):
        client.me()


def test_the_password_never_leaves_this_machine(admin):
    with connect(Options("http://cartrita.example.org")) as client:
        assert client._talk._exchange._login is None
