"""Tests of cartrita/providers/embedded/sentiment.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.providers.embedded.sentiment import NEUTRAL, Lexicon, labels


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I love this, it is wonderful!", "positive"),
        ("What a great and helpful team.", "positive"),
        ("😀", "positive"),
        ("This is terrible, I hate it.", "negative"),
        ("I bought it on Monday. It broke on Tuesday. Awful product.", "negative"),
        ("This is not good.", "negative"),
        ("The train leaves at nine.", "neutral"),
        ("今日は。", "neutral"),
        ("...", "neutral"),
    ],
)
def test_clear_feelings_have_the_right_sign(lexicon, text, expected):
    assert lexicon.classify(text).labels[0].label == expected


def test_a_long_text_is_an_average_and_not_an_extreme(lexicon):
    mixed = "This is good. This is bad. " * 500
    assert abs(lexicon.compound(mixed)) < 0.2


@given(st.floats(min_value=-1, max_value=1))
def test_shares_sum_to_one_and_the_first_changes_at_vaders_bound(compound):
    found = labels(compound)
    assert sum(label.score for label in found) == pytest.approx(1)
    assert {label.label for label in found} == {"positive", "neutral", "negative"}
    expected = "neutral"
    if abs(compound) >= NEUTRAL:
        expected = "positive" if compound > 0 else "negative"
    assert found[0].label == expected
