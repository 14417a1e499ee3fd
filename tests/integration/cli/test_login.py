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
