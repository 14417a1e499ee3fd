"""Answers that are kept and judged, through the whole tree."""

import asyncio
import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from actors.local import local_tree
from cartrita.answers import Answers, Terms, TieredAnswers
from cartrita.clock import SystemClock
from cartrita.privacy.masking import Rules
from cartrita.protocol.task import Preferences, TaskRequest
from cartrita.services import Services
from cartrita.storage.memory_answers import InMemoryShelf
from tests.support.asking import CATALOG, Oracle
from tests.support.records import ADA, EVE


@asynccontextmanager
async def asked_tree(oracle, rules=None):
    clock = SystemClock()
    answers = TieredAnswers(Terms(), clock, InMemoryShelf(clock))
    given = {Oracle: oracle, Answers: answers, Rules: rules or Rules()}
    services = Services({port: lambda _, one=one: one for port, one in given.items()})
    folder = Path(tempfile.mkdtemp(prefix="ctl-", dir="/tmp"))
    try:
        async with local_tree(CATALOG, services, folder) as tree:
            yield tree
    finally:
        shutil.rmtree(folder)


async def ask(tree, kind="ask.exact", who=ADA, text="What?", **fields):
    request = TaskRequest(task_type=kind, parameters={"text": text}, **fields)
    return await tree.door.submit(request, who, wait=True)


async def test_a_given_answer_costs_nothing_and_says_so():
    oracle = Oracle()
    async with asked_tree(oracle) as tree:
        first, second = await ask(tree), await ask(tree)
        anew = await ask(tree, preferences=Preferences(cache="refresh"))
        others = await ask(tree, who=EVE)
    paid = {"costUsd": 0.75, "tokensUsed": 15}  # half a dollar for the call, a quarter for tokens
    for answer in (first, anew, others):
        assert paid.items() <= answer["metrics"].items()
        assert "cacheHit" not in answer["metrics"]["customMetrics"]
    assert {"costUsd": 0, "tokensUsed": 0}.items() <= second["metrics"].items()
    assert second["metrics"]["customMetrics"]["cacheHit"] == 1
    assert second["metrics"]["modelUsed"] == "gpt-test"
    assert second["result"] == first["result"]
    assert len(oracle.asked) == 3


async def test_of_those_who_ask_at_once_one_pays():
    oracle = Oracle()
    oracle.gate.clear()
    async with asked_tree(oracle) as tree:
        tasks = [asyncio.create_task(ask(tree)) for _ in range(5)]
        await asyncio.wait_for(oracle.began.wait(), 5)
        oracle.gate.set()
        ends = await asyncio.gather(*tasks)
    assert sorted(end["metrics"]["costUsd"] for end in ends) == [0, 0, 0, 0, 0.75]
    assert len(oracle.asked) == 1


async def test_a_bad_answer_fails_with_its_reason_and_what_it_cost_and_is_not_kept():
    refusal = "I'm sorry, but I can't help with that."
    oracle = Oracle(refusal, refusal, "It is blue.")
    async with asked_tree(oracle) as tree:
        bad, good = await ask(tree, "ask.alike"), await ask(tree, "ask.alike")
    assert (bad["status"], bad["errorCode"], bad["reason"]) == (
        "FAILED",
        "AGENT_ERROR",
        "QUALITY_REJECTED",
    )
    assert "it is a refusal" in bad["errorMessage"]
    assert (bad["metrics"]["costUsd"], bad["metrics"]["tokensUsed"]) == (0.5, 30)
    assert good["result"]["text"] == "It is blue."


async def test_the_rules_about_personal_data_are_those_of_the_services():
    def mask(ctx):
        return ctx.privacy.mask("ada@x.org")

    rules = Rules("redact")
    async with asked_tree(Oracle(mask), rules) as tree:
        answer = await ask(tree, "ask.talk")
    assert answer["result"]["text"] == "<EMAIL>"


@pytest.mark.parametrize("cache", ["use", "refresh", "off"])
async def test_what_the_request_says_about_caches_reaches_the_worker(cache):
    seen = []

    def look(ctx):
        seen.append(ctx.preferences.cache)
        return "Fine."

    async with asked_tree(Oracle(look)) as tree:
        await ask(tree, preferences=Preferences(cache=cache))
    assert seen == [cache]
