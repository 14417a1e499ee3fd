"""Tests of actors/agents/memory.py."""

from dataclasses import replace

import pytest

from actors.agents.memory import MAX_ITEMS, Memory
from cartrita.clock import ManualClock
from cartrita.errors import InvalidParameters
from cartrita.protocol.principal import Principal
from cartrita.providers.ports import Embedder
from cartrita.storage.memory import InMemoryMemories
from cartrita.storage.ports import Memories
from cartrita.testing import run_task
from tests.support.fakes import WordEmbedder

STORE, RETRIEVE = "memory.context.store", "memory.context.retrieve"
ANN = Principal(user="ann", tenant="acme")
BOB = Principal(user="bob", tenant="globex")


@pytest.fixture
def memory():
    providers = {Memories: InMemoryMemories(), Embedder: WordEmbedder()}

    async def run(task, params, principal=ANN, **context):
        result = await run_task(Memory, task, params, providers, principal=principal, **context)
        return result.to_wire()

    return run


async def texts(memory, query, **more):
    return [one["text"] for one in (await memory(RETRIEVE, {"query": query}, **more))["memories"]]


async def test_what_was_stored_is_found_with_all_that_belongs_to_it(memory):
    clock = ManualClock(0.0)
    params = {"text": "Refunds take ten days", "metadata": {"page": 3, "ok": True}}
    stored = await memory(STORE, params, session_id="s1", clock=clock)
    found = await memory(RETRIEVE, {"query": "refunds take ten days"})
    (one,) = found["memories"]
    assert one == {
        "id": stored["ids"][0],
        "text": "Refunds take ten days",
        "score": pytest.approx(1),
        "metadata": {"page": 3, "ok": True},
        "sessionId": "s1",
        "storedAt": "1970-01-01T00:00:00.000+00:00",
    }
    assert found["model"] == stored["model"] == "fake/words"
    assert stored["stored"] == 1


async def test_who_finds_nothing_is_told_of_memories_that_another_model_made(memory, monkeypatch):
    warnings = []
    await memory(STORE, {"text": "ours"})
    await memory(RETRIEVE, {"query": "other words"}, warnings=warnings)
    assert warnings == []  # nothing is alike, and all of it was looked at
    monkeypatch.setattr(WordEmbedder, "info", replace(WordEmbedder.info, model="fake/new"))
    assert await texts(memory, "ours", warnings=warnings) == []
    assert len(warnings) == 1
    assert "'fake/words'" in warnings[0]
    assert "'fake/new'" in warnings[0]


async def test_no_tenant_sees_what_another_stored(memory):
    await memory(STORE, {"text": "our secret", "key": "k"}, principal=ANN)
    assert await texts(memory, "our secret", principal=BOB) == []
    await memory(STORE, {"text": "our secret", "key": "k"}, principal=BOB)
    await memory(STORE, {"text": "another secret", "key": "k"}, principal=BOB)
    assert await texts(memory, "our secret", principal=ANN) == ["our secret"]


async def test_storing_twice_stores_once(memory):
    first = await memory(STORE, {"text": "the same"})
    second = await memory(STORE, {"text": "the same"})
    assert first["ids"] == second["ids"]
    assert await texts(memory, "the same") == ["the same"]


async def test_a_key_replaces_what_its_session_stored_under_it(memory):
    await memory(STORE, {"text": "likes green tea", "key": "drink"}, session_id="s1")
    await memory(STORE, {"text": "likes black tea", "key": "drink"}, session_id="s1")
    await memory(STORE, {"text": "likes no tea", "key": "drink"}, session_id="s2")
    assert sorted(await texts(memory, "likes tea")) == ["likes black tea", "likes no tea"]


async def test_several_are_stored_in_order_and_equals_once(memory):
    items = [{"text": "one apple"}, {"text": "two pears"}, {"text": "one apple"}]
    stored = await memory(STORE, {"items": items})
    assert stored["stored"] == 2
    assert stored["ids"][0] == stored["ids"][2] != stored["ids"][1]


async def test_the_last_of_one_key_wins_within_one_call(memory):
    items = [{"text": "old news", "key": "n"}, {"text": "new news", "key": "n"}]
    await memory(STORE, {"items": items})
    assert await texts(memory, "news") == ["new news"]


async def test_a_session_can_ask_for_its_own_only(memory):
    await memory(STORE, {"text": "tea at four"}, session_id="s1")
    await memory(STORE, {"text": "tea at five"}, session_id="s2")
    await memory(STORE, {"text": "tea at six"})
    params = {"query": "tea at", "sessionId": "s2"}
    assert [one["text"] for one in (await memory(RETRIEVE, params))["memories"]] == ["tea at five"]
    assert len(await texts(memory, "tea at")) == 3


async def test_limit_and_threshold_hold(memory):
    items = [{"text": f"tea number {number}"} for number in range(10)] + [{"text": "cake"}]
    await memory(STORE, {"items": items})
    assert len(await texts(memory, "tea number")) == 5
    params = {"query": "tea number 3", "limit": 50, "threshold": 0.99}
    assert [one["text"] for one in (await memory(RETRIEVE, params))["memories"]] == ["tea number 3"]


@pytest.mark.parametrize(
    ("task", "params", "field"),
    [
        (STORE, {}, "body"),
        (STORE, {"text": "a", "items": [{"text": "b"}]}, "body"),
        (STORE, {"items": [{"text": "b"}], "key": "k"}, "body"),
        (STORE, {"items": []}, "items"),
        (STORE, {"items": [{"text": "a"}] * (MAX_ITEMS + 1)}, "items"),
        (STORE, {"items": [{"text": "fine"}, {"text": "a\x00b"}]}, "items.1.text"),
        (STORE, {"text": "a\x00b"}, "text"),
        (STORE, {"text": " "}, "text"),
        (STORE, {"text": "x" * 20_001}, "text"),
        (STORE, {"text": "a", "key": "k\x00"}, "key"),
        (RETRIEVE, {"query": "a\x00b"}, "query"),
        (RETRIEVE, {"query": "a", "limit": 51}, "limit"),
        (RETRIEVE, {"query": "a", "threshold": 1.1}, "threshold"),
        (RETRIEVE, {"query": "a", "tenant": "globex"}, "tenant"),
    ],
)
async def test_parameters_that_do_not_fit_are_named(memory, task, params, field):
    with pytest.raises(InvalidParameters) as refused:
        await memory(task, params)
    assert [error.field for error in refused.value.fields] == [f"parameters.{field}"]


@pytest.mark.parametrize(
    "metadata",
    [{"a": "x\x00"}, {"a\x00": "x"}, {"a": [1]}, {"a": None}, {"a": float("inf")}],
)
async def test_metadata_that_cannot_be_stored_is_refused(memory, metadata):
    with pytest.raises(InvalidParameters, match="metadata"):
        await memory(STORE, {"text": "a", "metadata": metadata})


@pytest.mark.parametrize("spec", Memory.spec.tasks, ids=lambda spec: spec.name)
async def test_examples_run(memory, spec):
    assert await memory(spec.name, spec.example)
