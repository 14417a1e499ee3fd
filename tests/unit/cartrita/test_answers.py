"""The tiers of answers: who is asked first, and what happens when one is away."""

import pytest

from cartrita.answers import LARGEST, Question, Terms, TieredAnswers
from cartrita.clock import ManualClock
from cartrita.errors import ModelRequired, ServiceUnavailable
from cartrita.storage.answers import Owner
from cartrita.storage.memory_answers import InMemoryMeanings, InMemoryShelf
from tests.support.fakes import WordEmbedder

WHO = Owner("shop", "ada")


async def keep(answers, question, result, seconds=None):
    await answers.keep(question, result, seconds)
    await answers.settle()


class Away:
    """A shelf that nobody reaches."""

    async def get(self, *args):
        raise ServiceUnavailable

    put = knows = nearest = get

    async def forget(self, **whose):
        raise ServiceUnavailable("away")


class Unwell(WordEmbedder):
    """An embedder without a model."""

    async def embed(self, texts):
        raise ModelRequired("no weights")


def tiers(clock, shelf=None, meanings=None, embedder=None, **terms):
    made = embedder or WordEmbedder()

    async def opened():
        return made

    own = InMemoryShelf(clock)
    return TieredAnswers(
        Terms(**terms), clock, own, shelf=shelf, meanings=meanings, embedder=opened
    )


def question(text=None, key="k"):
    return Question(WHO, key, text, "rest")


async def test_what_others_keep_is_found_and_then_kept_here_for_a_moment():
    clock = ManualClock()
    shelf = InMemoryShelf(clock)
    here, there = tiers(clock, shelf, own_seconds=5), tiers(clock, shelf)
    await keep(there, question(), {"a": 1})
    tier = [(await here.find(question())).tier for _ in range(2)]
    assert tier == ["valkey", "memory"]
    await there.forget(tenant="shop")
    assert (await here.find(question())).result == {"a": 1}  # for a moment
    clock.advance(5)
    assert await here.find(question()) is None


async def test_a_process_gives_nothing_for_longer_than_it_holds():
    clock = ManualClock()
    shelf = InMemoryShelf(clock)
    here, there = tiers(clock, shelf, own_seconds=30), tiers(clock, shelf)
    await keep(there, question(), {}, 60)
    clock.advance(50)
    assert await here.find(question())
    clock.advance(10)
    assert await here.find(question()) is None


async def test_what_is_away_costs_work_only():
    answers = tiers(ManualClock(), Away(), Away())
    await keep(answers, question("what is it"), {"a": 1})
    assert (await answers.find(question("what is it"))).tier == "memory"
    assert await answers.find(question("what is it", "other")) is None
    with pytest.raises(ServiceUnavailable):  # but whoever wants it forgotten must know
        await answers.forget(user="ada")


async def test_without_a_model_nothing_is_compared():
    clock = ManualClock()
    answers = tiers(clock, None, InMemoryMeanings(clock), Unwell())
    await keep(answers, question("what is it"), {"a": 1})
    assert await answers.find(question("what is it", "other")) is None


async def test_a_text_is_embedded_only_where_there_is_something_to_compare_it_with():
    clock, embedder = ManualClock(), WordEmbedder()
    answers = tiers(clock, None, InMemoryMeanings(clock), embedder)
    asked = question("what is it")
    assert await answers.find(asked) is None
    await keep(answers, asked, {"a": 1})
    assert embedder.asked == ["what is it"]  # not for looking: there was nothing to compare
    found = await answers.find(question("what is it", "other"))
    assert (found.result, found.tier) == ({"a": 1}, "meaning")


async def test_what_is_too_large_is_not_kept():
    answers = tiers(ManualClock())
    await keep(answers, question(), {"a": "x" * LARGEST})
    assert await answers.find(question()) is None


async def test_whoever_answers_does_not_wait_until_all_have_it():
    clock = ManualClock()
    shelf = InMemoryShelf(clock)
    answers = tiers(clock, shelf)
    await answers.keep(question(), {"a": 1}, None)
    assert await shelf.get("shop", "k") is None
    assert (await answers.find(question())).tier == "memory"
    await answers.settle()
    assert await shelf.get("shop", "k") is not None


async def test_what_is_forgotten_is_not_kept_a_moment_later():
    clock = ManualClock()
    shelf = InMemoryShelf(clock)
    answers = tiers(clock, shelf)
    await answers.keep(question(), {"a": 1}, None)
    assert await answers.forget(user="ada") == 2
    await answers.settle()
    assert await answers.find(question()) is None
