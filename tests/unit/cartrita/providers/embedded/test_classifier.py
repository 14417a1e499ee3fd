"""Tests of cartrita/providers/embedded/classifier.py."""

import pytest

from cartrita.providers.embedded.classifier import WINDOW, WINDOWS, EmbeddedClassifier, windows
from tests.support.fakes import WordEmbedder


@pytest.fixture
def classifier():
    return EmbeddedClassifier(WordEmbedder())


async def test_the_label_that_is_closest_comes_first_and_shares_sum_to_one(classifier):
    found = await classifier.classify("football football match", ["cooking", "football", "law"])
    assert found.labels[0].label == "football"
    assert sum(label.score for label in found.labels) == pytest.approx(1)
    scores = [label.score for label in found.labels]
    assert scores == sorted(scores, reverse=True)


async def test_says_when_the_first_two_are_too_close_to_call(classifier):
    found = await classifier.classify("something else entirely", ["alpha", "omega"])
    assert found.info.limitations[-1].startswith("Undecided")


async def test_a_clear_winner_is_not_called_undecided(classifier):
    found = await classifier.classify("football football", ["cooking", "football"])
    assert found.info == classifier.info


async def test_labels_may_hold_braces(classifier):
    found = await classifier.classify("text", ["{0}", "{name}"])
    assert {label.label for label in found.labels} == {"{0}", "{name}"}


@pytest.mark.parametrize("text", ["🎉", "…", "x" * 100_000, "word " * 20_000, "A b. " * 20_000])
def test_a_text_of_any_size_is_read_in_a_few_windows(text):
    found = windows(text)
    assert 1 <= len(found) <= WINDOWS
    assert all(len(window) <= max(WINDOW, 1_000) for window in found)


def test_windows_are_spread_from_the_first_to_the_last():
    text = " ".join(f"{'word ' * 150}{place}." for place in range(30))
    found = windows(text)
    assert found[0].endswith("0.")
    assert found[-1].endswith("29.")


async def test_sentiment_comes_from_the_lexicon(classifier):
    found = await classifier.sentiment("I love it!")
    assert found.info.model == "local/vader-lexicon"
