"""Tests of cartrita/conversation.py."""

import asyncio
from decimal import Decimal

import pytest

from cartrita.clock import ManualClock, SystemClock
from cartrita.context import Context
from cartrita.conversation import MODEL_CALLS, TOOL_CALLS, Said, converse
from cartrita.cost.price import metered
from cartrita.errors import AgentFailed, InsufficientBudget, NetworkFailed, TaskTimeout
from cartrita.protocol.task import Budget
from cartrita.providers.ports import ModelInfo
from tests.support.scripted_model import ScriptedModels, called, said
from tests.support.tools import toolbox

CEILING = metered("1.00", 10_000)
HELLO = [Said("system", "Be brief."), Said("user", "Hello")]


def context(**fields):
    return Context("t", **fields)


async def ask(models, ctx, ceiling=CEILING, tools=True, **options):
    offered = toolbox().tools(ctx, "chat") if tools else []
    return await converse(models.chat, HELLO, offered, ctx, ceiling, **options)


async def test_every_model_call_is_metered_with_its_price():
    ctx = context()
    models = ScriptedModels(called("calculator", expression="6*7"), said("42.", 20, 8))
    reply = await ask(models, ctx)
    assert reply.text == "42."
    assert [(call.tool, call.input, call.output) for call in reply.calls] == [
        ("calculator", {"expression": "6*7"}, "42")
    ]
    assert [usage.usd for usage in ctx.usages] == [Decimal("0.0002"), Decimal("0.00036")]
    assert reply.tokens == 43


async def test_only_this_conversation_s_tokens_are_counted_for_the_reply():
    ctx = context()
    models = ScriptedModels(said("Hi.", 1, 1))
    await ask(models, ctx)
    assert (await ask(models, ctx)).tokens == 2
    assert len(ctx.usages) == 2


async def test_a_failing_tool_is_told_to_the_model_which_goes_on():
    models = ScriptedModels(called("calculator", expression="1/0"), said("That has no value."))
    reply = await ask(models, context())
    assert reply.calls[0].failed
    assert reply.calls[0].output == "division by zero"
    assert models.model.asked[1][0][-1].text == "division by zero"


async def test_arguments_that_do_not_fit_are_told_to_the_model():
    models = ScriptedModels(called("calculator", formula="1"), said("Sorry."))
    reply = await ask(models, context())
    assert reply.calls[0].failed
    assert "expression" in reply.calls[0].output


async def test_a_model_that_only_calls_tools_is_given_up_on():
    models = ScriptedModels(called("calculator", expression="1+1"))
    ctx = context()
    with pytest.raises(AgentFailed, match=f"{MODEL_CALLS} calls"):
        await ask(models, ctx)
    assert len(ctx.usages) == MODEL_CALLS


async def test_too_many_tool_calls_at_once_are_refused_not_run():
    calls = [
        {"name": "calculator", "args": {"expression": f"{n}+0"}, "id": f"c{n}"}
        for n in range(TOOL_CALLS + 3)
    ]
    models = ScriptedModels(said("", tool_calls=calls), said("Enough."))
    reply = await ask(models, context())
    assert [call.failed for call in reply.calls].count(False) == TOOL_CALLS


async def test_a_call_that_would_not_fit_the_ceiling_is_never_made():
    models = ScriptedModels(said("Hi."))
    with pytest.raises(InsufficientBudget):
        await ask(models, context(), metered("0.00001", 10_000))
    assert models.model.asked == []


async def test_the_answer_is_limited_to_what_earlier_calls_left():
    models = ScriptedModels(called("calculator", expression="1+1"), said("2."))
    await ask(models, context(), metered("1.00", 1_000))
    first, second = (settings["max_tokens"] for _, settings in models.model.asked)
    assert 16 <= second < first < 1_000


async def test_the_caller_s_budget_counts_when_it_is_smaller():
    models = ScriptedModels(said("Hi."))
    with pytest.raises(InsufficientBudget, match="raise the budget"):
        await ask(models, context(budget=Budget(max_tokens=10)))


async def test_a_task_may_want_shorter_answers():
    models = ScriptedModels(said("Hi."))
    await ask(models, context(), answer_tokens=20, tools=False)
    assert models.model.asked[0][1]["max_tokens"] == 20


async def test_a_model_that_costs_nothing_is_not_limited():
    models = ScriptedModels(said("Hi."), info=ModelInfo("local/x", "embedded", generative=False))
    await ask(models, context(), metered("0", 0))
    assert "max_tokens" not in models.model.asked[0][1]


async def test_the_deadline_ends_a_model_that_hangs():
    ctx = context(deadline=SystemClock().monotonic() + 0.5)
    with pytest.raises(TaskTimeout, match="fake/writer"):
        await ask(ScriptedModels(None), ctx)


async def test_a_time_out_of_the_model_s_own_is_not_the_task_s():
    with pytest.raises(TimeoutError):
        await ask(ScriptedModels(TimeoutError("its own")), context())


async def test_errors_of_ours_come_through_as_they_are():
    with pytest.raises(NetworkFailed, match="gone"):
        await ask(ScriptedModels(NetworkFailed("gone")), context())


async def test_cancelling_stops_the_model():
    models = ScriptedModels(None)
    task = asyncio.create_task(ask(models, context()))
    await asyncio.wait_for(models.model.hangs.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_empty_answer_is_a_failure():
    with pytest.raises(AgentFailed, match="empty"):
        await ask(ScriptedModels(said(" ")), context())


async def test_a_refusal_stands_for_the_answer():
    models = ScriptedModels(said("", additional_kwargs={"refusal": "I will not."}))
    reply = await ask(models, context())
    assert (reply.text, reply.refused) == ("I will not.", True)


async def test_an_answer_cut_short_is_a_warning():
    ctx = context()
    await ask(ScriptedModels(said("Once upon", response_metadata={"finish_reason": "length"})), ctx)
    assert "cut off" in ctx.warnings[0]


async def test_a_model_without_usage_is_estimated_with_a_warning():
    ctx = context()
    message = said("Twelve chars")
    message.usage_metadata = None
    await ask(ScriptedModels(message), ctx)
    assert ctx.usages[0].tokens_out == 4
    assert "estimates" in ctx.warnings[0]


class Noted:
    """A reach that keeps what is noted."""

    used = False

    def __init__(self):
        self.uses = []

    def note(self, use):
        self.uses.append(use)


async def test_models_and_tools_are_noted_as_they_happen_with_what_they_took():
    reach = Noted()
    clock = ManualClock(5.0)
    models = ScriptedModels(called("calculator", expression="6*7"), said("42.", 20, 8))
    await ask(models, context(reach=reach, clock=clock))
    asked, tool, answered = reach.uses
    assert (asked.model, asked.tokens_in, asked.failed) == ("fake/writer", 10, False)
    assert (tool.name, tool.input, tool.output) == ("calculator", {"expression": "6*7"}, "42")
    assert answered.tokens_in == 20
    assert [use.seconds for use in reach.uses] == [0.0, 0.0, 0.0]


async def test_a_failing_tool_and_a_failing_model_are_noted_as_such():
    reach = Noted()
    models = ScriptedModels(called("calculator", expression="1/0"), NetworkFailed("as told"))
    ctx = context(reach=reach)
    with pytest.raises(NetworkFailed):
        await ask(models, ctx)
    assert [use.failed for use in reach.uses] == [False, True, True]
    assert reach.uses[1].output == "division by zero"
    assert len(ctx.usages) == 1


async def test_a_model_that_hangs_is_noted_when_the_deadline_ends_it():
    reach = Noted()
    ctx = context(reach=reach, deadline=SystemClock().monotonic() + 0.5)
    with pytest.raises(TaskTimeout):
        await ask(ScriptedModels(None), ctx)
    (use,) = reach.uses
    assert use.failed
    assert use.seconds > 0.01
