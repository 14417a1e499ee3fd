"""Tests of cartrita/providers/embedded/summarizer.py."""

import pytest

from cartrita.providers.embedded.prefilter import CAP
from cartrita.providers.embedded.sentences import split
from cartrita.providers.embedded.summarizer import ExtractiveSummarizer
from tests.support.fakes import WordCounter, WordEmbedder

ARTICLE = (
    "Robots clean ships in the harbour. The weather was fine. The robots save the ships fuel. "
    "Lunch was served at noon! Ships with clean hulls need less fuel. Nobody complained."
)


@pytest.fixture
def summarizer():
    return ExtractiveSummarizer(WordEmbedder(), WordCounter())


async def test_repeats_sentences_verbatim_with_their_positions(summarizer):
    summary = await summarizer.summarize(ARTICLE, 100)
    whole = [span.text for span in split(ARTICLE)]
    assert [whole[one.index] for one in summary.sentences] == [
        one.text for one in summary.sentences
    ]
    assert summary.text == " ".join(one.text for one in summary.sentences)
    assert [one.index for one in summary.sentences] == sorted(
        one.index for one in summary.sentences
    )


async def test_prefers_what_the_text_is_about(summarizer):
    summary = await summarizer.summarize(ARTICLE, 100)
    assert {one.index for one in summary.sentences} <= {0, 2, 4}


@pytest.mark.parametrize("budget", [6, 8, 13, 20])
async def test_stays_within_the_budget(summarizer, budget):
    summary = await summarizer.summarize(ARTICLE, budget)
    assert 0 < len(summary.text.split()) <= budget


async def test_cuts_the_best_sentence_when_none_fits_and_says_so(summarizer):
    summary = await summarizer.summarize("One very long sentence without any end in sight.", 4)
    assert summary.text == "One very long sentence"
    assert "cut short" in summary.info.limitations[-1]


async def test_cuts_by_the_tokens_of_the_model_and_not_by_words():
    class LetterCounter:
        async def count_tokens(self, texts):
            return [len(text.replace(" ", "")) for text in texts]

    summarizer = ExtractiveSummarizer(WordEmbedder(), LetterCounter())
    summary = await summarizer.summarize("One very long sentence.", 8)
    assert summary.text == "One very"


async def test_one_sentence_is_its_own_summary(summarizer):
    summary = await summarizer.summarize("  Just this.  ", 50)
    assert summary.text == "Just this."


async def test_says_when_it_did_not_look_at_everything():
    embedder = WordEmbedder()
    text = "The harbour is full of ships today. " * (CAP * 3)
    summary = await ExtractiveSummarizer(embedder, WordCounter()).summarize(text, 50)
    assert len(embedder.asked) == CAP
    assert summary.info.limitations[-1] == f"Considered {CAP} of {CAP * 3} sentences."
    assert len(summary.sentences) == 1  # the rest says the same


@pytest.mark.parametrize("text", ["🎉", "…", "!!!", "\u200d", "今日は。", "a" * 5_000])
async def test_survives_odd_text(summarizer, text):
    summary = await summarizer.summarize(text, 8)
    assert summary.text in text
    assert summary.text


async def test_nothing_gives_nothing(summarizer):
    assert (await summarizer.summarize("  ", 8)).text == ""
