"""What tasks may spend, from the door to the agent and back."""

import asyncio
from decimal import Decimal

import pytest

from cartrita.catalog import Catalog
from cartrita.clock import new_id
from cartrita.context import Context, Usage
from cartrita.cost.budget import Ceiling, Defaults
from cartrita.cost.price import metered, per_call
from cartrita.declare import Agent, task
from cartrita.errors import CartritaError, InsufficientBudget
from tests.support.records import ADA
from tests.support.stage import Said, Say, Stage, begin, host_with, stage_tree, submit

USD = 10**9


class Purse(Agent, team="system", concurrency=8):
    """Tells what it may spend."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @task("purse.show", cost=metered("1", 100), idempotent=True, max_attempts=5)
    async def show(self, params: Say, ctx: Context) -> Said:
        """Spend a little, wait for the test, and tell what is left."""
        ctx.spent(Usage("a", 7, 3, Decimal("0.2")))
        await self._stage.play(params.text)
        most = ctx.budget
        told = (ctx.pressure, most and most.max_usd, most and most.max_tokens)
        return Said(text=str(told), attempt=ctx.attempt)

    @task("purse.kept", cost=per_call("1"), idempotent=True)
    async def kept(self, params: Say, ctx: Context) -> Said:
        """Answer as from a cache."""
        ctx.given = params.text == "again"
        return Said(text=params.text)

    @task("purse.share", idempotent=True)
    async def share(self, params: Say, ctx: Context) -> Said:
        """Call for three things, one after the other."""
        told = []
        for _ in range(3):
            try:
                await ctx.call("purse.kept", {"text": "new"})
                told.append("done")
            except CartritaError as error:
                told.append(f"{error.code} {error.message}")
        return Said(text="; ".join(told))


@pytest.fixture
async def tree(stage):
    stage.release.set()
    async with stage_tree(stage, Catalog.of([Purse])) as one:
        yield one


@pytest.fixture
def held(tree):
    """Give a function that tells what a budget holds."""
    return lambda budget="user:ada": tree.tables.budgets.rows[budget]


def hold(tree, usd, budget="user:ada"):
    defaults = Defaults({"user": Ceiling(usd * USD)})
    tree.tables.budgets.open([budget], defaults, 0.0)


async def test_an_agent_knows_how_full_the_fullest_budget_was(tree, held):
    hold(tree, 4)
    texts = [(await submit(tree.door, "purse.show"))["result"]["text"] for _ in range(3)]
    assert texts == [f"({full}, 1.0, 100)" for full in (0.0, 0.05, 0.1)]
    assert (held().used_nano, held().used_tokens, held().reserved_nano) == (6 * USD // 10, 30, 0)


async def test_what_a_new_supervisor_takes_up_knows_how_full_the_fullest_budget_is(
    tree, stage, held
):
    hold(tree, 4)
    stage.release.clear()
    asked = [begin(tree.door, "purse.show") for _ in range(2)]
    for _ in asked:
        await stage.begun()
    await tree.supervisors["system/0"].kill()
    for _ in asked:
        await stage.begun()
    stage.release.set()
    told = [one["result"]["text"] for one in await asyncio.gather(*asked)]
    assert told == ["(0.25, 1.0, 100)"] * 2


async def test_a_second_attempt_may_spend_what_the_first_left(tree, stage, held):
    hold(tree, 1)
    stage.release.clear()
    task_id = new_id()
    asked = begin(tree.door, "purse.show", task_id=task_id, budget={"maxUsd": 0.9})
    await stage.begun()
    await host_with(tree, task_id).kill()
    await stage.begun()
    stage.release.set()
    answer = await asked
    assert answer["result"]["text"] == "(0.0, 0.7, 90)"
    assert (answer["metrics"]["costUsd"], answer["metrics"]["tokensUsed"]) == (0.4, 20)
    assert (held().used_nano, held().reserved_nano) == (4 * USD // 10, 0)


async def test_a_task_that_is_cancelled_pays_what_it_used_and_no_more(tree, stage, held):
    hold(tree, 1)
    stage.release.clear()
    task_id = new_id()
    asked = begin(tree.door, "purse.show", task_id=task_id)
    await stage.begun()
    assert held().reserved_nano == USD
    await tree.door.cancel(task_id, ADA)
    assert (await asked)["metrics"]["costUsd"] == 0.2
    assert (held().used_nano, held().used_tokens, held().reserved_nano) == (2 * USD // 10, 10, 0)


async def test_what_a_cache_answers_costs_nothing_and_says_so(tree, held):
    hold(tree, 1)
    answer = await submit(tree.door, "purse.kept", "again")
    assert (answer["metrics"]["costUsd"], answer["metrics"]["customMetrics"]) == (
        0.0, {"cacheHit": 1},
    )  # fmt: skip
    assert held().used_nano == 0
    assert (await submit(tree.door, "purse.kept"))["metrics"]["costUsd"] == 1.0


async def test_children_spend_what_their_parent_s_caller_allowed(tree, held):
    task_id = new_id()
    answer = await submit(tree.door, "purse.share", task_id=task_id, budget={"maxUsd": 2.5})
    done, again, refused = answer["result"]["text"].split("; ")
    assert (done, again) == ("done", "done")
    assert refused.startswith("INSUFFICIENT_BUDGET")
    assert f"'task:{task_id}'" in refused
    assert (held(f"task:{task_id}").used_nano, held(f"task:{task_id}").reserved_nano) == (
        2 * USD,
        0,
    )


async def test_500_at_once_never_take_more_than_fits(tree, stage, held):
    hold(tree, 37)
    stage.release.clear()
    told = await asyncio.gather(
        *(submit(tree.door, "purse.show", wait=False) for _ in range(500)), return_exceptions=True
    )
    refused = [one for one in told if isinstance(one, InsufficientBudget)]
    assert (len(refused), held().reserved_nano) == (463, 37 * USD)
    stage.release.set()
