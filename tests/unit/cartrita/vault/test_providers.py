"""Tests of the built-in providers, and of how their keys are looked at."""

import re

import pytest

from cartrita.errors import InvalidParameters, NotFound
from cartrita.vault.masking import Mask, Preferences, preferences_of
from cartrita.vault.providers import provider_of, providers, suits, value_of

KEY = "sk-" + "a1B2" * 8


def test_the_24_of_v2_are_there():
    assert list(providers()) == [
        *("openai", "anthropic", "google-ai", "cohere", "huggingface", "replicate", "aws", "azure"),
        *("gcp", "twilio", "sendgrid", "slack", "discord", "deepgram", "elevenlabs", "github"),
        *("vercel", "google-analytics", "mixpanel", "stripe", "plaid", "wolfram-alpha"),
        *("weather-api", "newsapi"),
    ]
    for provider in providers().values():
        re.compile(provider.validation_pattern)
        assert provider.required_fields
        assert provider.check is None or provider.check.url.startswith("https://")
        assert provider.check is None or "{key}" in provider.check.value


def test_an_unknown_provider_is_not_there():
    with pytest.raises(NotFound, match="'nope'"):
        provider_of("nope")


@pytest.mark.parametrize(
    ("provider", "value", "fits"),
    [
        ("openai", KEY, True),
        ("openai", f" {KEY}", False),
        ("anthropic", KEY, False),
        ("github", "ghp_" + "a" * 36, True),
        ("aws", '{"access_key_id": "AKIAABCDEFGHIJKLMNOP", "secret_access_key": "x"}', True),
        ("aws", '{"access_key_id": "AKIA", "secret_access_key": "x"}', False),
        ("gcp", '{"private_key": "x"}', True),
        ("gcp", "{" * 5000, False),
    ],
)
def test_a_value_is_looked_at_as_its_provider_writes_them(provider, value, fits):
    found = provider_of(provider)
    assert found.fits(value) is fits
    if not fits:
        with pytest.raises(InvalidParameters) as caught:
            suits(found, value)
        assert value not in caught.value.message


def test_credentials_come_field_by_field():
    assert value_of(provider_of("openai"), {"api_key": "x"}) == "x"
    assert value_of(provider_of("openai"), {"token": "x"}) == "x"
    pair = {"secret_access_key": "s", "access_key_id": "a"}
    assert value_of(provider_of("aws"), pair) == '{"access_key_id": "a", "secret_access_key": "s"}'
    with pytest.raises(InvalidParameters, match="secret_access_key"):
        value_of(provider_of("aws"), {"access_key_id": "a"})


def test_a_mask_shows_the_end_of_what_is_long_enough():
    assert Mask().over("sk-0123456789abcdef") == "********cdef"
    assert Mask().over("short") == "********"
    assert Mask("·-", 0).over("sk-0123456789abcdef") == "·-·-·-·-"
    assert len({Mask(last=0).over("x" * n) for n in range(1, 99)}) == 1


def test_preferences_are_checked():
    assert preferences_of({}) == Preferences()
    assert preferences_of({"show_last_chars": 2}).show_last_chars == 2
    wrong = ({"reveal_timeout": 9}, {"reveal_timeout": 301}, {"audit_access": False}, {"x": 1})
    for chosen in (*wrong, {"mask_pattern": "ab"}, {"show_last_chars": 9}):
        with pytest.raises(InvalidParameters):
            preferences_of(chosen)
