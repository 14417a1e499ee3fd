"""Tests of cartrita/writing/bias.py."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.writing.bias import find


@pytest.mark.parametrize(
    ("text", "kind", "term", "suggestion"),
    [
        ("The Chairman spoke.", "gender", "Chairman", "chair"),
        ("We need more manpower.", "gender", "manpower", "workforce"),
        ("Every good engineer loves his tools.", "gender", "Every good engineer loves his", "they"),
        ("If he or she asks", "gender", "he or she", "they"),
        ("He is wheelchair-bound.", "disability", "wheelchair-bound", "uses a wheelchair"),
        ("We want recent graduates.", "age", "recent graduates", None),
        ("Only a native speaker", "origin", "native speaker", "fluent speaker"),
        ("Women are always late.", "generalisation", "Women are always late", None),
        ("I know all boomers.", "generalisation", "all boomers", None),
        ("Such people lie.", "generalisation", "Such people", None),
    ],
)
def test_wordings_of_the_list_are_found(text, kind, term, suggestion):
    (found,) = find(text)
    assert (found.kind, found.term, found.suggestion) == (kind, term, suggestion)
    assert text[found.start : found.end] == term
    assert found.reason


@pytest.mark.parametrize(
    "text",
    [
        "The chair spoke to every engineer about their tools.",
        "Chairmanship is a word.",
        "Her manager said that he was tired.",
        "The women in the team wrote it.",
        "",
    ],
)
def test_fair_texts_are_left_alone(text):
    assert find(text) == []


@given(st.text(alphabet="abehimnorstw cy.'", max_size=200))
def test_findings_are_verbatim_in_order_and_apart(text):
    found = find(text)
    assert all(text[one.start : one.end] == one.term for one in found)
    assert all(one.end <= two.start for one, two in itertools.pairwise(found))


def test_a_long_text_takes_no_time_to_speak_of():
    assert len(find("every engineer " * 1300)) == 0
