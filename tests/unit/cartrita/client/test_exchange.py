"""Tests of tokens: which is sent, and how another one is got."""

import pytest

from cartrita import errors
from cartrita.client.models import Session
from cartrita.client.steps import Call
from tests.unit.cartrita.client.conftest import BROKEN, UNSENT, Script, problem, reply

REFUSED = problem(401, "AUTHENTICATION_FAILED")
ME = reply(200, {"id": "1", "email": "a@b.example", "name": "A", "role": "user"})
WHO = ("a@b.example", "secret-password")


def session(token, refresh):
    return reply(200, {"token": token, "refreshToken": refresh, "expiresIn": 60})


def test_nobody_signs_in_for_what_is_public():
    script = Script(reply(200, {"queues": {}}), token=None)
    script.play(script.talk.health())
    assert script.tokens == []


def test_credentials_open_a_session_on_first_use():
    script = Script(session("new", "r"), ME, token=None, login=WHO)
    assert script.play(script.talk.me()).email == "a@b.example"
    assert script.said == ["POST /auth/login", "GET /auth/me"]
    assert script.tokens == ["new"]


def test_without_any_credentials_nothing_is_sent():
    script = Script(token=None)
    with pytest.raises(errors.AuthenticationFailed, match="sign in"):
        script.play(script.talk.me())
    assert script.calls == []


def test_a_refused_token_is_refreshed_once():
    script = Script(REFUSED, session("new", "r2"), ME, refresh="r1")
    script.play(script.talk.me())
    assert script.said == ["GET /auth/me", "POST /auth/refresh", "GET /auth/me"]
    assert script.tokens == ["old", "new"]
    assert script.sessions.read() == Session(token="new", refresh_token="r2")


def test_a_token_that_is_refused_twice_is_told_and_not_tried_again():
    script = Script(REFUSED, session("new", "r2"), REFUSED, refresh="r1")
    with pytest.raises(errors.AuthenticationFailed):
        script.play(script.talk.me())
    assert len(script.calls) == 3


def test_a_refused_refresh_token_leads_to_the_credentials():
    script = Script(REFUSED, REFUSED, session("new", "r"), ME, refresh="spent", login=WHO)
    script.play(script.talk.me())
    assert script.said[1:3] == ["POST /auth/refresh", "POST /auth/login"]


def test_a_refused_token_without_anything_else_is_told():
    script = Script(REFUSED)
    with pytest.raises(errors.AuthenticationFailed, match="sign in"):
        script.play(script.talk.me())


def test_a_refresh_token_is_never_sent_twice_when_its_answer_is_lost():
    script = Script(REFUSED, BROKEN, refresh="r1")
    with pytest.raises(errors.ChannelLost):
        script.play(script.talk.me())
    assert script.said.count("POST /auth/refresh") == 1
    assert script.sessions.read() == Session(token="old")


def test_a_refresh_token_that_never_left_is_kept():
    script = Script(REFUSED, UNSENT, refresh="r1", retries=0)
    with pytest.raises(errors.NetworkFailed):
        script.play(script.talk.me())
    assert script.sessions.read() == Session(token="old", refresh_token="r1")


def test_a_session_that_another_flow_renewed_is_used_as_it_is():
    script = Script(REFUSED, ME, refresh="r1")
    flow = script.talk.me()
    call = flow.send(None)
    assert isinstance(call, Call)
    alone = flow.send(script._take(call))
    script.sessions.write(Session(token="newer", refresh_token="r9"))
    script._take(alone)
    script._take(flow.send(None))
    assert script.said == ["GET /auth/me", "GET /auth/me"]
    assert script.tokens == ["old", "newer"]


def test_signing_in_waits_out_what_passes():
    busy = problem(503, "SERVICE_UNAVAILABLE", retry_after="2")
    script = Script(busy, session("new", "r"), ME, token=None, login=WHO)
    script.play(script.talk.me())
    assert script.pauses[0] >= 2


def test_a_registration_is_not_repeated_when_its_answer_is_lost():
    script = Script(BROKEN, token=None)
    with pytest.raises(errors.ChannelLost):
        script.play(script.talk.register("a@b.example", "secret-password", ""))
    assert len(script.calls) == 1


def test_who_signed_in_by_hand_is_signed_in_again_when_the_session_ends():
    opened = {
        "token": "t1",
        "refreshToken": "r1",
        "user": {"id": "1", "email": "a@b.example", "name": "A", "role": "user"},
    }
    script = Script(reply(200, opened), REFUSED, REFUSED, session("t2", "r2"), ME, token=None)
    script.play(script.talk.login(*WHO))
    script.play(script.talk.me())
    assert script.said[-3:] == ["POST /auth/refresh", "POST /auth/login", "GET /auth/me"]


def test_a_call_is_silent_no_longer_than_its_caller_is_patient():
    script = Script(ME, timeout=3)
    script.play(script.talk.me())
    assert script.calls[0].timeout == 8.0
