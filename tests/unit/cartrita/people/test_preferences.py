"""Tests of what a client may set."""

import pytest

from cartrita.errors import InvalidParameters
from cartrita.people.preferences import PROFILES, Preferences, checked, whole


def test_only_what_is_told_changes():
    assert checked({"theme": "light", "sarcasm_level": 0, "verbosity": None, "role": "admin"}) == {
        "theme": "light",
        "sarcasm_level": 0,
    }


@pytest.mark.parametrize(
    ("said", "kept"),
    [("concise", "minimal"), ("detailed", "verbose"), ("normal", "normal"), ("verbose", "verbose")],
)
def test_the_words_of_both_faces_mean_the_same(said, kept):
    assert checked({"verbosity": said}) == {"verbosity": kept}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"sarcasm_level": 11}, "Sarcasm level must be between 0 and 10"),
        ({"sarcasm_level": "5"}, "Sarcasm level must be between 0 and 10"),
        ({"sarcasm_level": True}, "Sarcasm level must be between 0 and 10"),
        ({"verbosity": "loud"}, "Verbosity must be one of: concise, normal, detailed"),
        ({"theme": "<script>"}, "theme: "),
        ({"theme": "x" * 51}, "theme: "),
        ({"sound_effects": "yes"}, "sound_effects: "),
        ({}, "No valid settings provided"),
        ({"unknown": 1}, "No valid settings provided"),
    ],
)
def test_what_is_wrong_is_refused_in_v2s_words(told, words):
    with pytest.raises(InvalidParameters) as caught:
        checked(told)
    assert caught.value.message.startswith(words)


def test_what_nobody_set_is_as_usual():
    assert whole(None) == Preferences().model_dump()


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_set_what_can_be_set(name):
    assert checked(PROFILES[name]) == PROFILES[name]
