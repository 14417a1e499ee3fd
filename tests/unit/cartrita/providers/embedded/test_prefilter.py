"""Tests of cartrita/providers/embedded/prefilter.py."""

from cartrita.providers.embedded.prefilter import central, closest


def test_keeps_all_of_a_short_text():
    assert closest(["a", "b"], "question", cap=2) == [0, 1]
    assert central(["a", "b"], cap=2) == [0, 1]


def test_keeps_the_sentences_that_share_rare_words_with_the_question():
    sentences = [f"The report of the committee, page {page}." for page in range(50)]
    sentences[37] = "The penguins of the committee."
    assert closest(sentences, "Which penguins does the committee keep?", cap=1) == [37]


def test_words_match_across_inflections():
    sentences = ["Nothing here."] * 20
    sentences[11] = "Resetting passwords takes a minute."
    assert 11 in closest(sentences, "How is a password reset?", cap=2)


def test_a_question_without_shared_words_keeps_the_earliest():
    assert closest(["alpha beta"] * 10, "gamma", cap=3) == [0, 1, 2]


def test_keeps_the_opening_and_what_the_text_is_about():
    sentences = ["Filler without meaning here."] * 40
    for place in (20, 25, 30):
        sentences[place] = "Robots clean the harbour."
    kept = central(sentences, cap=16)
    assert kept[:2] == [0, 1]
    assert {20, 25, 30} <= set(kept)
    assert len(kept) == 16
    assert kept == sorted(kept)
