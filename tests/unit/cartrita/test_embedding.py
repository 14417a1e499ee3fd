"""Tests of cartrita/embedding.py: what leaves, what is held and what is charged."""

import asyncio
from decimal import Decimal

import numpy as np
import pytest

from cartrita.context import Context
from cartrita.cost.fee import Fee
from cartrita.cost.price import per_call
from cartrita.embedding import LONG, embedded
from cartrita.errors import InsufficientBudget, InvalidParameters, NetworkFailed, Reason
from cartrita.privacy.masking import Masker, Rules
from cartrita.protocol.task import Budget
from cartrita.providers.ports_embedding import Embedded
from tests.support.fakes import WordEmbedder

PERSONAL = "Write to ada@example.com about it."


class Far(WordEmbedder):
    """A paid embedder, which counts three tokens a text."""

    def __init__(self, *, told=True, fail=None, wait=None, **fee):
        super().__init__()
        self.fee = Fee(lambda: Decimal("0.1"), **fee)
        self.told, self.fail, self.wait = told, fail, wait
        self.began = asyncio.Event()

    async def ask(self, texts):
        self.began.set()
        if self.wait:
            await self.wait.wait()
        if self.fail:
            raise self.fail
        return Embedded(await self.embed(texts), 3 * len(texts), self.told)


def context(*, usd=None, tokens=None, **rules):
    limited = usd is not None or tokens is not None
    budget = Budget(max_usd=usd, max_tokens=tokens) if limited else None
    return Context("t", budget=budget, privacy=Masker(Rules(**rules)))


async def test_one_in_this_process_is_given_true_texts_and_costs_nothing():
    embedder, ctx = WordEmbedder(), context()
    await embedded(embedder, [PERSONAL], ctx)
    assert embedder.asked == [PERSONAL]
    (usage,) = ctx.usages
    assert (usage.tokens_in, usage.usd) == (0, 0)


@pytest.mark.parametrize("mode", ["mask", "redact"])
async def test_what_leaves_holds_no_personal_data_and_is_the_same_in_every_task(mode):
    embedder, ctx = Far(), context(mode=mode)
    ctx.privacy.mask("eve@example.com")  # has the first number in this task
    await embedded(embedder, [PERSONAL], ctx)
    assert embedder.asked == ["Write to <EMAIL> about it."]


async def test_long_texts_are_looked_through_as_well():
    embedder = Far()
    await embedded(embedder, [f"{'word ' * LONG}{PERSONAL}"], context())
    assert "ada@" not in embedder.asked[0]
    assert embedder.asked[0].endswith("<EMAIL> about it.")


async def test_where_the_rules_refuse_personal_data_nothing_leaves():
    embedder = Far()
    with pytest.raises(InvalidParameters) as refused:
        await embedded(embedder, ["harmless", PERSONAL], context(mode="block"))
    assert refused.value.reason == Reason.PII_BLOCKED
    assert embedder.asked == []


async def test_where_the_rules_are_off_all_leaves_as_it_is():
    embedder = Far()
    await embedded(embedder, [PERSONAL], context(mode="off"))
    assert embedder.asked == [PERSONAL]


async def test_what_the_provider_counts_is_charged_at_its_price():
    ctx = context()
    vectors = await embedded(Far(), ["one", "two"], ctx)
    assert (vectors.shape, vectors.dtype) == ((2, 384), np.float32)
    (usage,) = ctx.usages
    assert (usage.tokens_in, usage.tokens_out, usage.usd) == (6, 0, Decimal("0.0006"))
    assert ctx.warnings == []


async def test_a_provider_that_does_not_count_is_charged_by_an_estimate_which_is_said():
    ctx = context()
    await embedded(Far(told=False), ["one"], ctx)
    assert "estimates" in ctx.warnings[0]


@pytest.mark.parametrize("room", [{"tokens": 8}, {"usd": 0.0008}])
async def test_texts_that_may_cost_more_than_is_left_do_not_leave(room):
    embedder, ctx = Far(), context(**room)
    with pytest.raises(InsufficientBudget, match="9 tokens"):  # 7 bytes and two marks
        await embedded(embedder, ["seventy"], ctx)
    assert (embedder.asked, ctx.usages) == ([], [])


async def test_texts_that_just_fit_leave():
    ctx = context(tokens=9, usd=0.0009)
    await embedded(Far(), ["seventy"], ctx)
    assert ctx.usages[0].tokens_in == 3


async def test_a_fixed_price_of_the_task_is_not_there_to_be_spent():
    ctx = context(usd=0.0105, tokens=100)
    with pytest.raises(InsufficientBudget):
        await embedded(Far(), ["seventy"], ctx, per_call("0.01"))


async def test_two_at_once_cannot_both_have_the_last_of_it():
    wait = asyncio.Event()
    embedder, ctx = Far(wait=wait), context(tokens=12)
    first = asyncio.create_task(embedded(embedder, ["seventy"], ctx))
    await embedder.began.wait()
    with pytest.raises(InsufficientBudget):
        await embedded(embedder, ["seventy"], ctx)
    wait.set()
    await first
    assert sum(use.tokens_in for use in ctx.usages) == 3
    await embedded(embedder, ["seventy"], ctx)  # of the first, 6 of 9 came back


async def test_what_failed_holds_nothing_and_is_charged_nothing():
    ctx = context(tokens=10)
    for _ in range(3):
        with pytest.raises(NetworkFailed):
            await embedded(Far(fail=NetworkFailed("gone")), ["seventy"], ctx)
    assert ctx.usages == []


async def test_one_that_may_be_sent_twice_is_held_twice():
    with pytest.raises(InsufficientBudget, match="18 tokens"):
        await embedded(Far(calls=2), ["seventy"], context(tokens=17))
