"""How an attempt asks the ledger, and what becomes of questions and permissions that got old."""

import asyncio

import pytest

from actors.acts import FRESH, Acts
from cartrita.clock import ManualClock, new_id
from cartrita.context import Context
from cartrita.effects import Doubt, Finding, State
from cartrita.errors import AgentFailed, InternalFailure, ServiceUnavailable
from tests.support.outside import POST

SPEC = POST.task("post.letter")
BEGUN = {"state": "begun", "result": "null"}
DOUBT = Doubt("id", "letter", "ada")


class Line:
    """A supervisor that is asked."""

    def __init__(self):
        self.asked = []
        self.news = asyncio.Event()

    def emit(self, payload):
        kind, question = payload
        assert kind == "effect"
        self.asked.append(question)
        self.news.set()

    async def question(self):
        """Wait for the next question."""
        async with asyncio.timeout(5):
            while not self.asked:
                self.news.clear()
                await self.news.wait()
        return self.asked.pop(0)


class Attempt:
    """One attempt and its supervisor's end of the line."""

    def __init__(self, probes=None):
        self.clock, self.line, self.over = ManualClock(), Line(), False
        context = Context(new_id(), clock=self.clock)
        self.acts = Acts(SPEC, probes or {}, context, self.line, self.check)

    def check(self):
        if self.over:
            raise asyncio.CancelledError

    def begin(self, key="ada"):
        return asyncio.create_task(self.acts.begin("letter", key))

    async def begun(self):
        beginning = self.begin()
        index, *_ = await self.line.question()
        self.acts.answer(index, BEGUN)
        return await beginning


@pytest.fixture
async def attempt():
    return Attempt()


async def test_questions_are_told_apart(attempt):
    asked = [attempt.begin(key) for key in "abc"]
    questions = [await attempt.line.question() for _ in asked]
    assert [question[1:] for question in questions] == [["begin", "letter", k] for k in "abc"]
    for index, *_, key in reversed(questions):
        attempt.acts.answer(index, {"state": "done", "result": f'"{key}"'})
    assert [(await one).result for one in asked] == ["a", "b", "c"]


async def test_an_end_says_what_the_ledger_had_answered(attempt):
    assert await attempt.begun() == Finding(State.BEGUN)
    ending = asyncio.create_task(attempt.acts.end("letter", "ada", Finding.done([1])))
    index, *question = await attempt.line.question()
    assert question == ["end", "letter", "ada", "begun", "done", "[1]"]
    attempt.acts.answer(index, {"state": "done", "result": "[1]"})
    assert await ending == Finding.done([1])


async def test_what_is_told_is_not_waited_for_even_when_all_is_over(attempt):
    await attempt.begun()
    attempt.over = True
    attempt.acts.tell("letter", "ada", Finding.not_done())
    _, *question = await attempt.line.question()
    assert question == ["end", "letter", "ada", "begun", "not_done", "null"]
    attempt.acts.close()
    attempt.acts.tell("letter", "ada", Finding.not_done())
    assert attempt.line.asked == []


async def test_a_refusal_is_raised_and_the_effect_may_be_asked_for_again(attempt):
    beginning = attempt.begin()
    index, *_ = await attempt.line.question()
    attempt.acts.answer(index, {"error": ServiceUnavailable("away").to_wire()})
    with pytest.raises(ServiceUnavailable, match="away"):
        await beginning
    assert await attempt.begun()


async def test_a_permission_that_got_old_is_asked_for_again(attempt):
    beginning = attempt.begin()
    index, *_ = await attempt.line.question()
    attempt.clock.advance(FRESH + 0.1)  # such as by SIGSTOP and SIGCONT
    attempt.acts.answer(index, BEGUN)
    again, *question = await attempt.line.question()
    assert question == ["begin", "letter", "ada"]
    assert not beginning.done()
    attempt.acts.answer(again, BEGUN)
    assert await beginning == Finding(State.BEGUN)


async def test_what_is_known_does_not_get_old(attempt):
    beginning = attempt.begin()
    index, *_ = await attempt.line.question()
    attempt.clock.advance(FRESH + 0.1)
    attempt.acts.answer(index, {"state": "done", "result": "7"})
    assert await beginning == Finding.done(7)


async def test_an_attempt_that_is_over_may_not_act_on_a_permission(attempt):
    beginning = attempt.begin()
    index, *_ = await attempt.line.question()
    attempt.over = True
    attempt.acts.answer(index, BEGUN)
    with pytest.raises(asyncio.CancelledError):
        await beginning


async def test_closing_ends_every_wait(attempt):
    waiting = [attempt.begin(key) for key in "ab"]
    await attempt.line.question()
    await attempt.line.question()
    attempt.acts.close()
    done, _ = await asyncio.wait(waiting, timeout=5)
    assert all(one.cancelled() for one in done)
    assert len(done) == 2


async def test_an_answer_to_nobody_is_dropped(attempt):
    attempt.acts.answer(5, BEGUN)
    waiting = attempt.begin()
    index, *_ = await attempt.line.question()
    attempt.acts.answer(index, BEGUN)
    attempt.acts.answer(index, {"state": "unknown", "result": "null"})
    assert await waiting == Finding(State.BEGUN)


async def test_without_a_supervisor_there_is_no_ledger():
    acts = Acts(SPEC, {}, Context(new_id()), None, lambda: None)
    with pytest.raises(InternalFailure, match="ledger"):
        await acts.begin("letter", "ada")
    acts.tell("letter", "ada", Finding.not_done())


async def test_one_that_is_under_way_does_not_stand_twice(attempt):
    first = attempt.begin()
    index, *_ = await attempt.line.question()
    with pytest.raises(AgentFailed, match="twice"):
        await attempt.acts.begin("letter", "ada")
    attempt.acts.answer(index, BEGUN)
    assert await first


class TestProbe:
    async def asked(self, look):
        return await Attempt({"letter": look}).acts.probe(DOUBT)

    async def test_the_agent_s_own_is_asked(self):
        async def look(doubt, context):
            return Finding.done([doubt.id, context.attempt])

        assert await self.asked(look) == Finding.done(["id", 1])

    async def test_one_that_fails_cannot_tell(self):
        async def look(doubt, context):
            raise ZeroDivisionError

        assert await self.asked(look) == Finding.unknown()

    async def test_one_that_says_begun_cannot_tell(self):
        async def look(doubt, context):
            return Finding(State.BEGUN)

        assert await self.asked(look) == Finding.unknown()

    async def test_where_there_is_none_nobody_can_tell(self, attempt):
        assert await attempt.acts.probe(DOUBT) == Finding.unknown()
