"""What keeps two texts apart that mean nearly the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.contrast import contrast


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("What is it?", []),
        ("What is 15% of 240?", ["15%", "240"]),
        ("Is Rome not in Italy", ["Italy", "Rome", "in", "not"]),
        ("don't write ada@x.org, please", ["ada@x.org", "don't", "write"]),
        ("what is France's capital", ["France"]),
        ("über alles", ["über"]),
        ("convert miles to kilometers", ["to kilometers"]),
    ],
)
def test_the_words_that_must_be_the_same(text, told):
    assert json.loads(contrast(text)) == told


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("When does the shop open?", "When does the shop close?"),
        ("is coffee good for you", "is coffee bad for you"),
        ("turn the light on", "turn the light off"),
        ("what is the fastest animal", "what is the slowest animal"),
        ("convert miles to kilometers", "convert kilometers to miles"),
        ("what is 15% of 240", "what is 16% of 240"),
    ],
)
def test_what_the_built_in_model_finds_alike_is_told_apart(one, other):
    assert contrast(one) != contrast(other)  # 0.85 to 0.997 alike


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the capital of France?", "What is France's capital?"),
        ("Who wrote Hamlet?", "Who is the author of Hamlet?"),
        ("how do i sort a list of names", "how can i sort a list of names"),
    ],
)
def test_other_words_for_the_same_are_not(one, other):
    assert contrast(one) == contrast(other)


@given(st.text(max_size=300))
def test_any_text_can_be_told(text):
    assert isinstance(json.loads(contrast(text)), list)
