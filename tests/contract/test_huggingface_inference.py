"""The inference API, from a server on a real socket."""

import asyncio
import json
from functools import partial

import pytest

from cartrita.errors import AgentFailed, ConfigurationInvalid, ModelRequired, NetworkFailed
from cartrita.providers.guarded import Flow
from cartrita.providers.huggingface.inference import InferenceApi
from cartrita.providers.ports_huggingface import TextAsk, TextKind
from cartrita.storage.memory_circuits import InMemoryCircuits
from tests.support.elsewhere import answer, elsewhere

SENTENCE = "Ada lived in London."


def ask(kind=TextKind.CLASSIFICATION, **fields):
    return TextAsk(**{"kind": kind, "model": "org/model", "text": SENTENCE, **fields})


async def run(server, asked, say=None):
    lane = partial(Flow(InMemoryCircuits()).lane, "huggingface")
    api = InferenceApi("hf_secret", f"{server.url}/api", lane=lane)
    try:
        return await api.run(asked, say)
    finally:
        await api.close()


def giving(body, status=200, **headers):
    async def work(_asked):
        return answer(status, body, **headers)

    return work


KINDS = [
    (
        ask(TextKind.GENERATION, max_tokens=9, temperature=0.5),
        {
            "inputs": SENTENCE,
            "parameters": {
                "max_new_tokens": 9,
                "temperature": 0.5,
                "do_sample": True,
                "return_full_text": False,
            },
        },
        [{"generated_text": " She wrote."}],
        {"text": " She wrote."},
    ),
    (
        ask(TextKind.SUMMARIZATION, max_tokens=9),
        {"inputs": SENTENCE, "parameters": {"generate_parameters": {"max_length": 9}}},
        [{"summary_text": "Ada."}],
        {"text": "Ada."},
    ),
    (
        ask(TextKind.TRANSLATION, source_language="en", target_language="fr"),
        {"inputs": SENTENCE, "parameters": {"src_lang": "en", "tgt_lang": "fr"}},
        {"translation_text": "Ada vivait à Londres."},
        {"text": "Ada vivait à Londres."},
    ),
    (
        ask(),
        {"inputs": SENTENCE, "parameters": {"top_k": 50}},
        [[{"label": "NEG", "score": 0.25}, {"label": "POS", "score": 0.75}]],
        {"findings": [("POS", 0.75), ("NEG", 0.25)]},
    ),
    (
        ask(TextKind.ZERO_SHOT, labels=["a", "b"]),
        {"inputs": SENTENCE, "parameters": {"candidate_labels": ["a", "b"]}},
        {"sequence": SENTENCE, "labels": ["b", "a"], "scores": [0.75, 0.25]},
        {"findings": [("b", 0.75), ("a", 0.25)]},
    ),
    (
        ask(TextKind.ANSWERING, question="Where?"),
        {"inputs": {"question": "Where?", "context": SENTENCE}},
        {"answer": "London", "score": 0.5, "start": 13, "end": 19},
        {"findings": [("London", 0.5)]},
    ),
    (
        ask(TextKind.TOKENS),
        {"inputs": SENTENCE, "parameters": {"aggregation_strategy": "simple"}},
        [{"entity_group": "PER", "score": 0.5, "word": "ada", "start": 0, "end": 3}],
        {"findings": [("PER", 0.5)]},
    ),
    (
        ask(TextKind.FILL_MASK, most=1),
        {"inputs": SENTENCE, "parameters": {"top_k": 1}},
        [{"sequence": "Ada sang.", "score": 0.5, "token": 1, "token_str": " sang"}],
        {"findings": [("sang", 0.5)]},
    ),
    (
        ask(TextKind.SIMILARITY, labels=["x", "y"]),
        {"inputs": {"source_sentence": SENTENCE, "sentences": ["x", "y"]}},
        [0.25, -0.5],
        {"findings": [("x", 0.25), ("y", -0.5)]},
    ),
]


@pytest.mark.parametrize(("asked", "sent", "given", "made"), KINDS, ids=lambda one: "")
async def test_each_kind_is_asked_for_and_read_as_that_api_has_it(asked, sent, given, made):
    async with elsewhere(giving(given)) as server:
        found = await run(server, asked)
    (request,) = server.asked
    tail = "/pipeline/sentence-similarity" if asked.kind is TextKind.SIMILARITY else ""
    assert (request.method, request.path) == ("POST", f"/api/models/org/model{tail}")
    assert request.headers["authorization"] == "Bearer hf_secret"
    assert json.loads(request.body) == sent
    assert found.text == made.get("text", "")
    assert [(one.label, one.score) for one in found.findings] == made.get("findings", [])
    assert (found.model, found.provider) == ("org/model", "huggingface")
    assert found.generative is ("text" in made)
    assert found.tokens_out == len(found.text.encode()) // 3


async def test_an_answer_s_place_is_where_it_stands_whatever_the_server_counts_in():
    given = {"answer": "London", "score": 0.5, "start": 99, "end": 105}
    async with elsewhere(giving(given)) as server:
        (found,) = (await run(server, ask(TextKind.ANSWERING, question="?"))).findings
    assert SENTENCE[found.start : found.end] == "London"


async def test_text_comes_as_it_is_written():
    async def pieces():
        for text, special in (("Hel", False), ("lo", False), ("</s>", True)):
            token = {"id": 1, "text": text, "logprob": 0, "special": special}
            yield f"data:{json.dumps({'token': token})}\n\n".encode()

    async def work(_asked):
        return "text/event-stream", pieces()

    said = []

    async def say(text):
        said.append(text)

    async with elsewhere(work) as server:
        found = await run(server, ask(TextKind.GENERATION), say)
    assert json.loads(server.asked[0].body)["stream"] is True
    assert (said, found.text) == (["Hel", "lo"], "Hello")


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "wait"),
    [
        (503, {"error": "loading", "estimated_time": 20.5}, {}, NetworkFailed, 20.5),
        (429, {"error": "slow down"}, {"retry_after": "7"}, NetworkFailed, 7.0),
        (500, b"<html>", {}, NetworkFailed, None),
        (401, {"error": "hf_secret is wrong"}, {}, ConfigurationInvalid, None),
        (403, {"error": "gated"}, {}, ConfigurationInvalid, None),
        (404, {"error": "Model not found"}, {}, ModelRequired, None),
        (400, {"error": ["no such parameter"]}, {}, AgentFailed, None),
    ],
)
async def test_refusals_are_typed(status, body, headers, kind, wait):
    async with elsewhere(giving(body, status, **headers)) as server:
        with pytest.raises(kind) as refused:
            await run(server, ask())
    assert type(refused.value) is kind
    assert refused.value.retry_after == wait
    assert "hf_secret" not in refused.value.message


@pytest.mark.parametrize("body", [b"no json", {}, [], [{"label": "x"}], "text", 1, None])
async def test_what_is_no_answer_of_that_kind_is_the_model_s_failure(body):
    async with elsewhere(giving(body)) as server:
        with pytest.raises(AgentFailed, match="something else"):
            await run(server, ask())


async def test_an_answer_without_end_is_broken_off(monkeypatch):
    monkeypatch.setattr("cartrita.providers.huggingface.inference.MOST_BYTES", 1000)
    async with elsewhere(giving(b"x" * 5000)) as server:
        with pytest.raises(AgentFailed, match="1000 bytes"):
            await run(server, ask())


async def test_being_cancelled_closes_the_connection():
    async def work(_asked):
        await asyncio.Event().wait()

    async with elsewhere(work) as server:
        running = asyncio.create_task(run(server, ask()))
        await asyncio.wait_for(server.began.get(), 5)
        running.cancel()
        assert await asyncio.wait_for(server.left.get(), 5)
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_nobody_there_is_a_failure_of_the_network():
    async with elsewhere() as server:
        pass
    with pytest.raises(NetworkFailed, match=r"huggingface\.inference_url"):
        await run(server, ask())
