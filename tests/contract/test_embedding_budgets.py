"""What embeddings of a provider cost, through the whole tree and over a real socket."""

import asyncio
import shutil
import tempfile
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from actors.agents.memory import Memory
from actors.local import local_tree
from cartrita.catalog import Catalog
from cartrita.cost.budget import Ceiling, Defaults
from cartrita.cost.fee import Fee
from cartrita.errors import InsufficientBudget
from cartrita.providers.far_embeddings import FarEmbeddings
from cartrita.providers.guarded import Flow, Guarded
from cartrita.providers.openai_embeddings import OpenAiEmbeddings
from cartrita.providers.ports import Embedder
from cartrita.services import Services
from cartrita.storage.memory import InMemoryMemories
from cartrita.storage.memory_circuits import InMemoryCircuits
from cartrita.storage.ports import Memories
from tests.support.openai_server import Fail, Hang, serving
from tests.support.records import ADA
from tests.support.stage import request

FEE = Fee(lambda: Decimal("0.001"), 8192)
NANO = 1000
"""Billionths of a USD for a token."""

STORE, FIND = "memory.context.store", "memory.context.retrieve"
TEXT = "refunds take ten business days"
TOKENS, WORST = 5, len(TEXT) + 2


@asynccontextmanager
async def shop(server, tokens=1_000_000, fee=FEE):
    """Run the memory agent with a paid embedder, and users who have so many tokens a day."""
    asking = OpenAiEmbeddings("sk", server.base_url, "small", 16)
    flow = Flow(InMemoryCircuits())
    embedder = FarEmbeddings(asking, Guarded(flow.lane("openai-embeddings")), FEE)
    services = Services(
        {Memories: lambda _s: InMemoryMemories(), Embedder: lambda _services: embedder}
    )
    budgets = Defaults({"user": Ceiling(10**9, tokens)})
    folder = Path(tempfile.mkdtemp(prefix="ctl-", dir="/tmp"))
    try:
        catalog = Catalog.of([Memory])
        async with local_tree(catalog, services, folder, budgets=budgets, fee=fee) as tree:
            yield tree
    finally:
        shutil.rmtree(folder)


async def run(tree, name, budget=None, **parameters):
    asked = request(name, parameters=parameters, **({"budget": budget} if budget else {}))
    return await tree.door.submit(asked, ADA, wait=True)


def held(tree):
    row = tree.tables.budgets.rows["user:ada"]
    return row.used_tokens, row.used_nano, row.reserved_tokens, row.reserved_nano


async def test_what_the_provider_counts_is_charged_and_the_rest_given_back():
    async with serving() as server, shop(server) as tree:
        stored = await run(tree, STORE, text=TEXT)
        assert stored["status"] == "COMPLETED"
        assert stored["metrics"]["tokensUsed"] == TOKENS
        assert stored["metrics"]["costUsd"] == pytest.approx(TOKENS * NANO / 1e9)
        assert held(tree) == (TOKENS, TOKENS * NANO, 0, 0)
        found = await run(tree, FIND, query=TEXT)
        assert found["result"]["memories"][0]["text"] == TEXT
        assert held(tree) == (2 * TOKENS, 2 * TOKENS * NANO, 0, 0)
        (line, _) = [line for *_, line in tree.tables.budgets.lines]
        assert (line.model, line.tokens, line.nano_usd) == ("small", TOKENS, TOKENS * NANO)


async def test_the_worst_case_is_held_while_it_runs_and_given_back_when_it_is_cancelled():
    async with serving() as server, shop(server) as tree:
        server.before_embedding = [Hang()]
        asked = request(STORE, parameters={"text": TEXT})
        running = asyncio.create_task(tree.door.submit(asked, ADA, wait=True))
        await server.came(1)
        assert held(tree) == (0, 0, WORST, WORST * NANO)
        (task_id,) = tree.tables.budgets.held
        await tree.door.cancel(task_id, ADA)
        assert (await running)["status"] == "CANCELLED"
        assert held(tree) == (0, 0, 0, 0)


async def test_a_failure_is_charged_nothing():
    async with serving() as server, shop(server) as tree:
        server.before_embedding = [Fail(400)] * 9
        assert (await run(tree, STORE, text=TEXT))["errorCode"] == "AGENT_ERROR"
        assert held(tree) == (0, 0, 0, 0)


async def test_what_does_not_fit_a_budget_is_refused_and_nothing_leaves():
    async with serving() as server, shop(server, tokens=WORST - 1) as tree:
        with pytest.raises(InsufficientBudget, match="user:ada"):
            await run(tree, STORE, text=TEXT)
        assert server.seen == []
        assert (await run(tree, STORE, text=TEXT[1:]))["status"] == "COMPLETED"


async def test_a_ceiling_of_the_caller_s_own_is_kept():
    async with serving() as server, shop(server) as tree:
        refused = await run(tree, STORE, {"maxTokens": WORST - 1}, text=TEXT)
        assert refused["errorCode"] == "INSUFFICIENT_BUDGET"
        assert server.seen == []
        done = await run(tree, STORE, {"maxTokens": WORST}, text=TEXT)
        assert done["status"] == "COMPLETED"


async def test_tasks_that_come_at_once_never_spend_more_than_their_budget():
    fits = 4
    async with serving() as server, shop(server, tokens=fits * WORST) as tree:
        server.before_embedding = [Hang()]
        first = asyncio.create_task(run(tree, STORE, text=TEXT, key="first"))
        await server.came(1)
        others = (run(tree, STORE, text=TEXT, key=str(n)) for n in range(20))
        ends = await asyncio.gather(*others, return_exceptions=True)
        refused = [end for end in ends if isinstance(end, InsufficientBudget)]
        assert len(refused) < len(ends)
        assert refused
        used, _, reserved, _ = held(tree)
        assert used + reserved <= fits * WORST
        assert used == (len(ends) - len(refused)) * TOKENS
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_personal_data_is_not_sent_and_is_kept_for_its_owner():
    text = "ada@example.com wants a refund"
    async with serving() as server, shop(server) as tree:
        await run(tree, STORE, text=text)
        found = await run(tree, FIND, query="the refund of eve@example.com")
        assert found["result"]["memories"][0]["text"] == text
        sent = [request.body["input"] for request in server.seen]
        assert sent == [["<EMAIL> wants a refund"], ["the refund of <EMAIL>"]]


async def test_what_stands_for_the_shortest_address_fits_what_was_held():
    async with serving() as server, shop(server) as tree:
        assert (await run(tree, STORE, text="a@b.co"))["status"] == "COMPLETED"
        assert [request.body["input"] for request in server.seen] == [["<EMAIL>"]]


async def test_without_a_fee_nothing_is_held():
    async with serving() as server, shop(server, tokens=1, fee=None) as tree:
        assert (await run(tree, STORE, text=TEXT))["status"] == "COMPLETED"
        assert "user:ada" not in tree.tables.budgets.rows
