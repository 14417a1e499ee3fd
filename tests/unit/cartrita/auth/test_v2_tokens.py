"""Tests of the tokens that v2 issued."""

import pytest
from jose import jwt

from cartrita.auth.tokens import REFUSED
from cartrita.auth.v2_tokens import V2Tokens
from cartrita.errors import AuthenticationFailed
from cartrita.protocol.principal import Role

NOW = 1_700_000_000
SECRET = "a-shared-secret-of-32-bytes-or-more"
CLAIMS = {
    "sub": 17,
    "name": "Ada",
    "email": "ada@example.org",
    "role": "admin",
    "is_admin": True,
    "iss": "cartrita-auth",
    "aud": "cartrita-clients",
    "iat": NOW,
    "exp": NOW + 86_400,
}
HEADER = {"alg": "HS256", "typ": "JWT"}


@pytest.fixture
def v2(clock):
    return V2Tokens(SECRET, clock)


def assert_refused(v2, token):
    with pytest.raises(AuthenticationFailed) as caught:
        v2.verify(token)
    assert caught.value.message == REFUSED


def test_a_token_of_v2_is_read(v2, forge):
    claims = v2.verify(forge.mac(SECRET.encode(), HEADER, CLAIMS))
    assert (claims.issued_at, claims.expires_at, claims.ours) == (NOW, NOW + 86_400, False)
    assert claims.jti.startswith("v2:")


def test_another_librarys_token_is_read(v2):
    assert v2.verify(jwt.encode(CLAIMS, SECRET, "HS256"))


def test_nobody_becomes_an_administrator_by_v2s_word(v2, forge):
    claims = v2.verify(forge.mac(SECRET.encode(), HEADER, CLAIMS))
    assert claims.role is Role.USER
    assert not claims.principal().admin


def test_a_v2_user_is_the_same_every_time_and_nobody_else(v2, forge):
    def user(subject):
        return v2.verify(forge.mac(SECRET.encode(), HEADER, {**CLAIMS, "sub": subject})).user

    assert user(17) == user("17") == "6de19112-1907-59a6-bd22-ddbe67e035a1"
    assert user(17) != user(18)


def test_two_tokens_have_two_ids(v2, forge):
    other = {**CLAIMS, "exp": NOW + 1}
    jtis = {v2.verify(forge.mac(SECRET.encode(), HEADER, c)).jti for c in (CLAIMS, other)}
    assert len(jtis) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "cartrita-mcp"},
        {"aud": "cartrita-users"},
        {"aud": ["cartrita-clients"]},
        {"exp": NOW - 60},
        {"exp": None},
        {"exp": NOW + 86_401},
        {"iat": "now"},
        {"nbf": NOW + 61},
        *({"sub": sub} for sub in (None, True, 1.5, -1, "", "x", "1 ", "\u0661", [17], "9" * 5000)),
    ],
    ids=lambda changes: repr(changes)[:30],
)
def test_claims_v2_does_not_write_are_refused(v2, forge, changes):
    assert_refused(v2, forge.mac(SECRET.encode(), HEADER, {**CLAIMS, **changes}))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "JWT"},
        {"alg": "HS512", "typ": "JWT"},
        {"alg": "RS256", "typ": "JWT"},
        {"alg": "HS256"},
        {**HEADER, "kid": "x"},
        {**HEADER, "b64": False},
    ],
    ids=repr,
)
def test_headers_v2_does_not_write_are_refused(v2, forge, header):
    assert_refused(v2, forge.mac(SECRET.encode(), header, CLAIMS))


def test_another_secret_is_refused(v2, forge):
    assert_refused(v2, forge.mac(b"another", HEADER, CLAIMS))
    assert_refused(v2, forge.mac(b"", HEADER, CLAIMS))


def test_a_token_of_ours_is_not_one_of_v2(v2, forge):
    assert_refused(v2, forge.token())
    assert_refused(v2, forge.token({"alg": "HS256"}))
