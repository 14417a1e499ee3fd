"""Tests of cartrita/providers/embedded/passages.py."""

import pytest

from cartrita.providers.embedded.passages import SentenceRetrieval
from cartrita.providers.embedded.prefilter import CAP
from tests.support.fakes import WordEmbedder


@pytest.fixture
def retrieval():
    return SentenceRetrieval(WordEmbedder())


@pytest.mark.parametrize("lead", ["", "  \n\n", "🎉 Ja! ", "Dr. Who came.\n"])
async def test_offsets_are_exact_whatever_stands_before(retrieval, lead):
    context = f"{lead}The store opens at nine. The store closes at six. Bring a bag."
    passage = await retrieval.answer("When does the store close? closes", context)
    assert passage.found
    assert passage.answer == "The store closes at six."
    assert context[passage.start : passage.end] == passage.answer
    assert 0.3 <= passage.score <= 1


async def test_nothing_close_is_not_found(retrieval):
    passage = await retrieval.answer("Who won?", "The store opens at nine.")
    assert (passage.found, passage.answer, passage.start, passage.end) == (False, "", 0, 0)


async def test_a_context_without_sentences_is_not_found(retrieval):
    assert not (await retrieval.answer("Who?", " \n ")).found


async def test_finds_the_needle_in_a_long_text_and_says_what_it_compared():
    embedder = WordEmbedder()
    hay = "Filler about nothing at all. " * 2_000
    passage = await SentenceRetrieval(embedder).answer(
        "Where do penguins sleep?", f"{hay}Penguins sleep under the pier. {hay}"
    )
    assert passage.answer == "Penguins sleep under the pier."
    assert passage.start == len(hay)
    assert len(embedder.asked) == CAP + 1
    assert str(CAP) in passage.info.limitations[-1]
