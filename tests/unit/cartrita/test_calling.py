"""Tests of cartrita/calling.py: who is called, how often, and what that costs."""

import asyncio
from decimal import Decimal

import pytest

from cartrita.clock import SystemClock
from cartrita.context import Context
from cartrita.conversation import Said, converse
from cartrita.cost.price import metered
from cartrita.errors import (
    AgentFailed,
    ConfigurationInvalid,
    InsufficientBudget,
    ModelRequired,
    NetworkFailed,
    Reason,
    ResourceLimitExceeded,
)
from cartrita.protocol.task import Budget
from cartrita.providers.ports import Candidate, ChatModel, ModelInfo
from tests.support.scripted_model import ScriptedModel, called, said

GONE = NetworkFailed("It is gone.", retry_after=0.001)


def model(name, *script, price="0.02", **fields):
    info = ModelInfo(name, "fake", generative=True)
    half = Decimal(price) / 2
    return ChatModel(ScriptedModel(*script), info, half, Decimal(price), **fields)


def chain(*models, why="", to_save=False):
    first, *rest = models
    candidates = (Candidate(first), *(Candidate(chat, why, to_save) for chat in rest))
    return ChatModel(first.model, first.info, route=lambda _demand: candidates)


async def ask(chat, ctx=None, ceiling=None, tools=(), **options):
    ctx = ctx or Context("t")
    return await converse(
        chat, [Said("user", "Hi")], tools, ctx, ceiling or metered("1", 100_000), **options
    )


@pytest.mark.parametrize(
    "failure",
    [GONE, ModelRequired("None."), ConfigurationInvalid("No key."), ResourceLimitExceeded("Long.")],
)
async def test_what_another_model_may_not_have_has_it_asked(failure):
    first, second = model("a", failure), model("b", said("Hello."), price="0.2")
    ctx = Context("t")
    reply = await ask(chain(first, second), ctx)
    assert (reply.text, reply.info.model) == ("Hello.", "b")
    assert [usage.model for usage in ctx.usages] == ["b"]
    assert ctx.usages[0].usd == Decimal("0.002")  # 10 at 0.1 and 5 at 0.2: the other's price
    assert ctx.warnings == [f"'b' answered instead: {failure.message}"]


async def test_what_any_model_would_refuse_ends_it():
    second = model("b", said("Hello."))
    with pytest.raises(AgentFailed):
        await ask(chain(model("a", AgentFailed("Forbidden.")), second))
    assert second.model.asked == []


async def test_a_failing_network_is_tried_twice_before_another_is_asked():
    first, second = model("a", GONE), model("b", said("Hello."))
    await ask(chain(first, second))
    assert (len(first.model.asked), len(second.model.asked)) == (2, 1)


async def test_a_model_that_is_left_alone_is_not_tried_twice():
    alone = NetworkFailed("Left alone.", Reason.CIRCUIT_OPEN, retry_after=0.001)
    first = model("a", alone)
    await ask(chain(first, model("b", said("Hello."))))
    assert len(first.model.asked) == 1


async def test_who_wants_to_be_asked_after_the_deadline_is_not_asked_again():
    first = model("a", NetworkFailed("Later.", retry_after=15.0))
    ctx = Context("t", deadline=SystemClock().monotonic() + 10)
    with pytest.raises(NetworkFailed) as caught:
        await ask(first, ctx)
    assert len(first.model.asked) == 1
    assert caught.value.retry_after == 15.0


async def test_when_all_fail_the_error_is_one_that_another_try_may_mend():
    with pytest.raises(NetworkFailed, match="gone"):
        await ask(chain(model("a", ModelRequired("None.")), model("b", GONE)))


async def test_whoever_answered_goes_on_with_the_conversation():
    first = model("a", GONE)
    second = model("b", called("add", x=1), said("Done."))
    ctx = Context("t")
    reply = await ask(chain(first, second), ctx, tools=[_tool()])
    assert reply.text == "Done."
    assert (len(first.model.asked), len(second.model.asked)) == (2, 2)
    assert len(ctx.warnings) == 1


def _tool():
    from langchain_core.tools import tool

    @tool
    async def add(x: int) -> str:
        """Add one."""
        return str(x + 1)

    return add


async def test_a_model_that_does_not_fit_the_budget_makes_room_for_a_cheaper_one():
    dear, cheap = model("dear", said("No.")), model("cheap", said("Yes."), price="0.0002")
    ctx = Context("t", budget=Budget(max_usd=0.0001))
    reply = await ask(chain(dear, cheap, why="'cheap' is cheaper.", to_save=True), ctx)
    assert reply.info.model == "cheap"
    assert dear.model.asked == []
    assert ctx.warnings == ["'cheap' is cheaper."]


async def test_a_cheaper_model_is_no_fallback_for_a_failure():
    cheap = model("cheap", said("Yes."), price="0.0002")
    with pytest.raises(NetworkFailed):
        await ask(chain(model("dear", GONE), cheap, to_save=True))
    assert cheap.model.asked == []


async def test_when_not_even_the_cheapest_fits_it_is_refused():
    cheap = model("cheap", said("Yes."), price="0.0002")
    ctx = Context("t", budget=Budget(max_tokens=5))
    with pytest.raises(InsufficientBudget):
        await ask(chain(model("dear", said("No.")), cheap, to_save=True), ctx)
    assert cheap.model.asked == []


class Twins(ScriptedModel):
    """Hangs at the first call, and answers the second."""

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        if not self.asked:
            self._asked.append((messages, kwargs))
            await asyncio.Event().wait()
        return await super()._agenerate(messages, stop, run_manager, **kwargs)


def slow(*script, hedge_after=0.01):
    info = ModelInfo("slow", "fake", generative=True)
    price = Decimal("0.01")
    return ChatModel(Twins(*script), info, price, price, hedge_after=hedge_after)


async def test_beside_a_slow_call_a_second_one_is_made_and_both_are_charged():
    ctx = Context("t")
    chat = slow(said("Hello.", 10, 5))
    assert (await ask(chat, ctx)).text == "Hello."
    lost, won = sorted(ctx.usages, key=lambda usage: not usage.failed)
    assert (won.tokens_in, won.tokens_out, won.failed) == (10, 5, False)
    assert (lost.tokens_out, lost.failed) == (0, True)
    assert lost.tokens_in > 0
    assert lost.usd == lost.tokens_in * Decimal("0.01") / 1000
    assert ctx.measures["hedges"] == 1
    assert ctx.warnings == ["A call beside a slow one was given up; what it cost is an estimate."]


async def test_no_second_call_is_made_where_both_would_not_fit_the_budget():
    chat = slow(said("Hello."))
    ctx = Context("t", budget=Budget(max_tokens=100), deadline=SystemClock().monotonic() + 0.2)
    with pytest.raises(Exception, match="deadline"):
        await ask(chat, ctx)
    assert len(chat.model.asked) == 1


async def test_a_quick_call_is_not_doubled():
    ctx = Context("t")
    chat = model("a", said("Hello."), hedge_after=5.0)
    await ask(chat, ctx)
    assert len(chat.model.asked) == 1
    assert ctx.warnings == []


async def test_when_both_calls_fail_the_first_one_s_error_is_told():
    chat = model("a", AgentFailed("Forbidden."), hedge_after=5.0)
    with pytest.raises(AgentFailed):
        await ask(chat)


async def test_cancelling_ends_both_calls():
    ended = []

    class Hanging(ScriptedModel):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            self._asked.append(messages)
            if len(self._asked) > 1:
                self.hangs.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(1)

    info = ModelInfo("a", "fake", generative=True)
    chat = ChatModel(Hanging(said("x")), info, hedge_after=0.001)
    task = asyncio.create_task(ask(chat))
    await asyncio.wait_for(chat.model.hangs.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [1, 1]
