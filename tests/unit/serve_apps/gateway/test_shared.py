"""One answer for everybody who asks within a moment."""

import asyncio

import pytest

from cartrita.clock import ManualClock
from serve_apps.gateway.shared import Shared


class Question:
    """Is answered when the test says so."""

    def __init__(self):
        self.asked, self.answers, self.begun = 0, asyncio.Queue(), asyncio.Event()

    async def __call__(self):
        self.asked += 1
        self.begun.set()
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def question():
    return Question()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def shared(question, clock):
    return Shared(question, clock, 10)


async def test_many_who_ask_at_once_ask_once(shared, question):
    waiting = [asyncio.create_task(shared.get()) for _ in range(5)]
    question.answers.put_nowait("yes")

    assert await asyncio.gather(*waiting) == ["yes"] * 5
    assert question.asked == 1


async def test_an_answer_is_good_for_a_while(shared, question, clock):
    question.answers.put_nowait(1)
    question.answers.put_nowait(2)

    first = await shared.get()
    clock.advance(9.9)
    same = await shared.get()
    clock.advance(0.1)
    fresh = await shared.get()

    assert (first, same, fresh) == (1, 1, 2)


async def test_a_failure_is_told_and_then_forgotten(shared, question):
    question.answers.put_nowait(ValueError("broken"))
    question.answers.put_nowait("mended")

    with pytest.raises(ValueError, match="broken"):
        await shared.get()

    assert await shared.get() == "mended"


async def test_one_who_leaves_takes_nothing_from_the_others(shared, question):
    leaving, staying = asyncio.create_task(shared.get()), asyncio.create_task(shared.get())
    await question.begun.wait()

    leaving.cancel()
    question.answers.put_nowait("yes")

    assert await staying == "yes"
    assert question.asked == 1
