"""Which answers leave, which are mended, and which are refused."""

from decimal import Decimal

import pytest

from cartrita.context import Context, Usage
from cartrita.errors import AgentFailed, InsufficientBudget, Reason
from cartrita.policy.chain import Job
from cartrita.policy.quality import Quality
from cartrita.protocol.task import Preferences
from cartrita.quality.rules import rulebook
from tests.support.asking import CATALOG, Answer, Ask, Oracle

SORRY = "I'm sorry, but I can't help with that."
QUALITY = Quality(rulebook())


class Asked:
    """One task before the gate."""

    def __init__(self, *script, kind="ask.alike", text="What?", generative=True, **hints):
        self.oracle = Oracle(*script)
        self.oracle.generative = generative
        self.context = Context("t", kind, preferences=Preferences(**hints))
        self.job = Job(CATALOG.task(kind), Ask(text=text), self.context)

    async def answer(self):
        work = self.oracle.answer
        result = await QUALITY(self.job, lambda job: work(job.params, job.context))
        return result.text

    async def rejection(self):
        with pytest.raises(AgentFailed) as failed:
            await self.answer()
        assert failed.value.reason == Reason.QUALITY_REJECTED
        return failed.value.message


def sure(score, **more):
    named = {"model": "m", "provider": "p", "generative": True}
    return Answer(text="So it is.", score=score, **(named | more))


async def test_a_good_answer_passes_as_it_is():
    asked = Asked("It is blue.")
    assert await asked.answer() == "It is blue."
    assert asked.oracle.complaints == [None]
    assert asked.context.measures == {}


async def test_a_refusal_is_mended_once_with_the_reason_and_both_are_paid_for():
    asked = Asked(SORRY, "It is blue.")
    assert await asked.answer() == "It is blue."
    assert asked.oracle.complaints == [None, "it is a refusal."]
    assert asked.context.measures == {"qualityRepairs": 1}
    assert sum(usage.usd for usage in asked.context.usages) == Decimal("0.50")


async def test_what_is_still_wrong_after_that_is_rejected():
    asked = Asked(SORRY)
    assert "'ask.alike' was rejected: it is a refusal." in await asked.rejection()
    assert len(asked.oracle.asked) == 2
    assert len(asked.context.usages) == 2


async def test_warnings_of_an_answer_that_nobody_sees_are_not_told():
    def half(ctx):
        ctx.warn("The model declined; its text says why.")
        return SORRY

    asked = Asked(half, "It is blue.")
    await asked.answer()
    assert asked.context.warnings == []


async def test_a_conversation_may_say_no():
    assert await Asked(SORRY, kind="ask.talk").answer() == SORRY


async def test_nobody_is_threatened_not_even_in_a_conversation():
    asked = Asked("I will kill you.", kind="ask.talk")
    assert "toxic (threat)" in await asked.rejection()


async def test_somebody_else_s_words_are_not_judged():
    assert await Asked("I will kill you.", kind="ask.quote").answer() == "I will kill you."


async def test_the_caller_s_own_words_may_be_repeated():
    asked = Asked('It says "I will kill you".', text='What does "I will kill you" mean?')
    assert await asked.answer()


async def test_a_model_that_writes_nothing_of_its_own_is_not_asked_again():
    unsure = sure(0.1, generative=False)
    asked = Asked(unsure)
    assert "confidence is 0.10, less than 0.20" in await asked.rejection()
    assert len(asked.oracle.asked) == 1
    assert await Asked(SORRY, generative=False).answer() == SORRY  # quoted, not said


async def test_the_caller_may_ask_for_more_confidence_than_the_task():
    assert await Asked(sure(0.5)).answer() == "So it is."
    assert "less than 0.90" in await Asked(sure(0.5), min_confidence=0.9).rejection()
    assert await Asked(sure(0.95), min_confidence=0.9).answer() == "So it is."


async def test_a_task_that_knows_no_confidence_says_so():
    asked = Asked("It is blue.", kind="ask.talk", min_confidence=0.9)
    assert await asked.answer() == "It is blue."
    assert "tells no confidence" in asked.context.warnings[0]


async def test_an_answer_that_does_not_fit_its_model_is_mended():
    crooked = Answer.model_construct(text=["no", "text"], model="m", provider="p", generative=True)
    asked = Asked(crooked, "It is blue.")
    assert await asked.answer() == "It is blue."
    assert asked.oracle.complaints[1] == "it does not fit Answer; see text."


async def test_an_empty_answer_is_none():
    assert "it is empty" in await Asked(" \n").rejection()


async def test_where_the_money_is_gone_the_first_reason_is_told():
    asked = Asked(SORRY, InsufficientBudget("Nothing is left."))
    assert "it is a refusal" in await asked.rejection()


class Speaking:
    """A reach of an attempt that has been heard."""

    used = True

    def note(self, use: Usage) -> None:
        """Keep nothing."""


async def test_words_that_were_shown_are_not_said_again_in_another_way():
    asked = Asked(SORRY)
    asked.context.reach = Speaking()
    assert "it is a refusal" in await asked.rejection()
    assert len(asked.oracle.asked) == 1
