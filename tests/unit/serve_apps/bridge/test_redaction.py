"""Secrets that answers do not tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json, to_json

from serve_apps.bridge.redaction import redacted

JWT = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "secret",
    [
        b"sk-abcdefghijklmnop1234",
        b"sk-proj-abc_defghijklmnop1234",
        b"ghp_0123456789abcdefABCD",
        b"glpat-0123456789abc",
        b"hf_0123456789abcdefABCD",
        b"AKIA0123456789AB",
        b"AIzaSyA0123456789_-",
        JWT,
    ],
)
def test_a_secret_keeps_four_characters(secret):
    body = b'{"text":"it is %b, see"}' % secret
    assert redacted(body, "/api/x") == b'{"text":"it is %b***REDACTED***, see"}' % secret[:4]


def test_who_signs_in_gets_their_token_however_the_path_is_written():
    body = b'{"token":"%b"}' % JWT
    assert redacted(body, "/api/Auth/Login") == body
    assert redacted(body, "/api/users") != body


@pytest.mark.parametrize("before", ["\n", "\t", "\x1f", '"', "\\", "ö"])
def test_a_secret_begins_a_line_too(before):
    body = to_json(
        {"text": f"{before}sk-abcdefghijklmnop1234", "more": [f"{before}{JWT.decode()}"]}
    )
    told = from_json(redacted(body, "/api/x"))
    assert told == {
        "text": f"{before}sk-a***REDACTED***",
        "more": [f"{before}eyJh***REDACTED***"],
    }


def test_who_signs_in_gets_the_token_and_nothing_else():
    body = b'{"token":"%b","refresh":"%b","note":"sk-abcdefghijklmnop1234"}' % (JWT, JWT)
    told = redacted(body, "/api/auth/login")
    assert told == b'{"token":"%b","refresh":"%b","note":"sk-a***REDACTED***"}' % (JWT, JWT)


def test_words_that_only_look_alike_stay():
    for body in (b"task-of-many-long-words-here", b"risk-assessment-for-everybody", b"eyJ alone"):
        assert redacted(body, "/api/x") == body


@given(st.text(alphabet='eyJsk-._ahfghpAKIz "', max_size=300))
def test_the_text_around_a_secret_is_kept(text):
    body = text.encode()
    told = redacted(body, "/api/x")
    assert told == body or b"***REDACTED***" in told


def test_a_long_hostile_text_takes_no_longer_than_its_length():
    assert len(redacted(b"eyJ" * 400_000 + b"sk-" * 400_000, "/api/x")) == 2_400_000
