"""Tests of the checks that need no key."""

import pytest

from cartrita.auth.claims import LEEWAY, LONGEST_LIFETIME, check_names, check_times, instant, text
from cartrita.auth.compact import Refused

NOW = 1_700_000_000
TIMES = {"iat": NOW, "nbf": NOW, "exp": NOW + 3600}


@pytest.mark.parametrize("now", [NOW - LEEWAY, NOW, NOW + 3600, NOW + 3600 + LEEWAY - 0.001])
def test_a_token_is_good_within_the_leeway(now):
    assert check_times(TIMES, now) == (NOW, NOW + 3600)


@pytest.mark.parametrize("now", [NOW - LEEWAY - 0.001, NOW + 3600 + LEEWAY, 0])
def test_a_token_is_not_good_beyond_the_leeway(now):
    with pytest.raises(Refused):
        check_times(TIMES, now)


@pytest.mark.parametrize(
    "times",
    [
        {"exp": NOW - LEEWAY, "iat": NOW - 3600, "nbf": NOW - 3600},
        {"nbf": NOW + LEEWAY + 1},
        {"iat": NOW + LEEWAY + 1, "nbf": NOW},
        {"iat": NOW + 3601},
        {"nbf": NOW + 3601},
        {"exp": NOW + LONGEST_LIFETIME + 1},
    ],
)
def test_times_that_make_no_sense_together_are_refused(times):
    with pytest.raises(Refused):
        check_times({**TIMES, **times}, NOW)


@pytest.mark.parametrize(
    "value", [None, True, 1.5, float(NOW), "1700000000", -1, 10**12, 10**400, []]
)
def test_a_time_is_a_plain_whole_number(value):
    with pytest.raises(Refused):
        instant({"exp": value}, "exp")


@pytest.mark.parametrize("name", ["iss", "aud"])
@pytest.mark.parametrize("value", ["other", "Ours", "", None, ["ours"], {"ours": 1}, "ours\0"])
def test_issuer_and_audience_are_compared_exactly(name, value):
    with pytest.raises(Refused):
        check_names({"iss": "ours", "aud": "ours", name: value}, "ours", "ours")


@pytest.mark.parametrize("value", [None, "", 5, ["a"], "x" * 1025])
def test_a_text_is_short_and_not_empty(value):
    with pytest.raises(Refused):
        text({"sub": value}, "sub")
