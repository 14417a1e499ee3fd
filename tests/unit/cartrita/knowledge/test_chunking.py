"""Tests of cartrita/knowledge/chunking.py."""

from hypothesis import given
from hypothesis import strategies as st

from cartrita.knowledge.chunking import OVERLAP, SIZE, cut

TEXTS = st.text(alphabet="ab .\n", max_size=400)


@given(TEXTS, st.integers(10, 60))
def test_every_piece_is_a_part_of_the_text_and_none_is_longer_than_it_may_be(text, size):
    for place, piece in enumerate(cut(text, size, size // 5)):
        assert piece.place == place
        assert piece.text == text[piece.start : piece.start + len(piece.text)]
        assert piece.text.strip()
        assert len(piece.text) <= size


@given(TEXTS, st.integers(10, 60))
def test_no_character_but_white_space_is_lost(text, size):
    covered = set()
    for piece in cut(text, size, size // 5):
        covered.update(range(piece.start, piece.start + len(piece.text)))
    assert {n for n, character in enumerate(text) if not character.isspace()} <= covered


def test_pieces_end_with_paragraphs_then_sentences_then_words():
    text = f"{'a ' * 300}end.\n\n{'b ' * 60}stop. {'c ' * 600}"
    first, second, *_ = cut(text)
    assert first.text.endswith("end.")
    assert len(second.text) > SIZE // 2
    assert second.text.endswith("c")


def test_neighbours_have_whole_words_in_common():
    words = " ".join(f"word{n}" for n in range(400))
    first, second = cut(words)[:2]
    shared = first.start + len(first.text) - second.start
    assert 0 < shared <= OVERLAP
    assert second.text.startswith("word")


def test_a_text_without_a_break_is_cut_all_the_same():
    pieces = cut("x" * 2_000)
    assert pieces[0].text == "x" * SIZE
    assert pieces[-1].start + len(pieces[-1].text) == 2_000


def test_what_says_nothing_has_no_pieces():
    assert cut("") == cut(" \n\n ") == []
