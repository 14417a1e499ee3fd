"""Tests of `cartrita login`."""

import json

from tests.support.api_server import ADMIN


def test_the_commands_that_follow_are_signed_in(cartrita, api):
    done = cartrita("--url", api, "login", "--email", ADMIN[0], typed=f"{ADMIN[1]}\n")
    assert done.exit_code == 0
    assert f"as {ADMIN[0]} (admin)" in done.stdout
    assert ADMIN[1] not in done.output
    assert cartrita("--url", api, "tree").exit_code == 0


def test_a_password_comes_from_a_pipe(cartrita, api):
    arguments = ("login", "--email", ADMIN[0], "--password-stdin", "--json")
    done = cartrita("--url", api, *arguments, typed=f"{ADMIN[1]}\n")
    assert json.loads(done.stdout)["role"] == "admin"


def test_a_wrong_password_exits_with_4(cartrita, api, home):
    done = cartrita("--url", api, "login", "--email", ADMIN[0], typed="wrong password\n")
    assert done.exit_code == 4
    assert not home.exists()


def signed_in(cartrita, api):
    done = cartrita("--url", api, "login", "--email", ADMIN[0], typed=f"{ADMIN[1]}\n")
    assert done.exit_code == 0


def test_who_is_signed_in_is_told(cartrita, api):
    assert cartrita("--url", api, "whoami").exit_code == 4
    signed_in(cartrita, api)
    assert cartrita("--url", api, "whoami").stdout == f"{ADMIN[0]} (admin) at {api}\n"
    told = json.loads(cartrita("--url", api, "whoami", "--json").stdout)
    assert (told["role"], told["url"]) == ("admin", api)


def test_who_signs_out_is_signed_out_at_the_server_too(cartrita, api, home):
    signed_in(cartrita, api)
    (kept,) = home.glob("session*.json")
    spent = kept.read_text()
    done = cartrita("--url", api, "logout")
    assert (done.exit_code, done.stdout) == (0, f"Signed out of {api}.\n")
    assert cartrita("--url", api, "whoami").exit_code == 4
    kept.write_text(spent)
    assert cartrita("--url", api, "whoami").exit_code == 4


def test_without_a_session_there_is_none_to_end(cartrita, api):
    done = cartrita("--url", api, "logout", "--json")
    assert json.loads(done.stdout) == {"url": api, "signedOut": False}


def test_a_session_whose_token_expired_is_ended_all_the_same(cartrita, api, home):
    signed_in(cartrita, api)
    (path,) = home.glob("session*.json")
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "token": "expired"}))
    assert cartrita("--url", api, "logout").exit_code == 0
    path.write_text(json.dumps(kept))
    assert cartrita("--url", api, "whoami").exit_code == 4
