"""Tests of cartrita/research/pieces.py."""

from hypothesis import given
from hypothesis import strategies as st

from cartrita.research.pieces import pieces


def test_whole_sentences_go_together_as_long_as_they_fit():
    assert pieces("One. Two. Three.", longest=10) == ["One. Two.", "Three."]


def test_a_sentence_that_is_too_long_is_cut():
    assert pieces("abcdefg", longest=3) == ["abc", "def", "g"]


@given(st.text("ab .!?\n"), st.integers(1, 50))
def test_no_piece_is_longer_than_allowed_or_empty_and_no_word_is_lost(text, longest):
    found = pieces(text, longest)
    assert all(0 < len(piece) <= longest for piece in found)
    assert "".join("".join(found).split()) == "".join(text.split())
