"""Secrets, by their names and by their looks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.privacy.secrets import HIDDEN, is_secret, without_secrets

SHOWN = [
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLW9mLWl0",
    "sk-proj-abcdefghijklmnop1234",
    "hf_abcdefghijklmnopqrstuv",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "AKIAABCDEFGHIJKLMNOP",
    "Bearer abcdef.ghijkl-mnop",
    "postgresql://cartrita:correct-horse@127.0.0.1/cartrita",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SHOWN)
def test_what_looks_like_a_secret_is_hidden(secret):
    told = without_secrets(f"It was {secret}, they said.")
    assert HIDDEN in told
    assert told.startswith("It was ")
    assert told.endswith(", they said.")
    for part in ("c2lnbmF0dXJl", "ghijkl", "EFGHIJ", "correct-horse", "MIIE"):
        assert part not in told


@pytest.mark.parametrize(
    "text",
    [
        "019ac1d2-7b1e-7c3a-9d52-0a1b2c3d4e5f",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "https://example.org/a/path?q=1",
        "the bearer of bad news",
        "risk-free and sk-short",
    ],
)
def test_what_is_none_stays(text):
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    "name",
    ["password", "PASSWORD", "client_secret", "apiKey", "x-api-key", "openai_api_key", "token",
     "access_token", "refreshToken", "Authorization", "set-cookie", "private_key", "key"],
)  # fmt: skip
def test_what_names_hide(name):
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["task", "tokens", "tokensUsed", "keys", "monkey", "path", "shard"]
)
def test_what_names_do_not_hide(name):
    assert not is_secret(name)


@given(st.text())
def test_hiding_twice_hides_nothing_more(text):
    once = without_secrets(text)
    assert without_secrets(once) == once
