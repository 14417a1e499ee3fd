"""Embeddings of OpenAI's protocol, from a server on a real socket."""

import json
from decimal import Decimal

import numpy as np
import pytest

from cartrita.cost.fee import Fee
from cartrita.errors import AgentFailed, ConfigurationInvalid, ModelRequired, NetworkFailed
from cartrita.providers.far_embeddings import MOST_TEXTS, FarEmbeddings
from cartrita.providers.guarded import Guarded
from cartrita.providers.openai_embeddings import OpenAiEmbeddings
from cartrita.providers.ports_chat import FreeLane
from tests.support.elsewhere import answer, elsewhere

FEE = Fee(lambda: Decimal("0.00002"))


async def lengths(asked):
    """Embed each text as its length, one, and zeros; in an order that is not the texts'."""
    body = json.loads(asked.body)
    rows = [
        {"index": n, "embedding": [float(len(text)), 1.0] + [0.0] * 6}
        for n, text in enumerate(body["input"])
    ]
    return answer(body={"data": rows[::-1], "model": body["model"], "usage": {"total_tokens": 1}})


async def embed(server, texts, **options):
    asking = OpenAiEmbeddings(
        "sk-secret", f"{server.url}/v1", **{"model": "small", "dimensions": 8, **options}
    )
    embedder = FarEmbeddings(asking, Guarded(FreeLane(), patience=0.0), FEE)
    try:
        return embedder, await embedder.embed(texts)
    finally:
        await embedder.close()


async def test_vectors_come_in_the_texts_order_and_are_of_length_one():
    async with elsewhere(lengths) as server:
        embedder, vectors = await embed(server, ["abc", "", "a"])
    assert (vectors.shape, vectors.dtype) == ((3, 8), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0][0] / vectors[0][1] == pytest.approx(3)
    assert vectors[1][0] == vectors[2][0]  # a blank text is sent as a space
    (request,) = server.asked
    assert request.path == "/v1/embeddings"
    assert request.headers["authorization"] == "Bearer sk-secret"
    assert json.loads(request.body) == {
        "model": "small",
        "input": ["abc", " ", "a"],
        "encoding_format": "float",
    }
    assert (embedder.info.model, embedder.info.provider) == ("small", "openai")


async def test_many_texts_are_many_requests():
    async with elsewhere(lengths) as server:
        _, vectors = await embed(server, [f"{'x' * (n % 5)}y" for n in range(MOST_TEXTS + 3)])
    assert sorted(len(json.loads(one.body)["input"]) for one in server.asked) == [3, MOST_TEXTS]
    assert vectors[MOST_TEXTS][0] / vectors[MOST_TEXTS][1] == pytest.approx(MOST_TEXTS % 5 + 1)


async def test_shorter_vectors_of_a_known_model_are_another_model_s():
    async with elsewhere(lengths) as server:
        embedder, _ = await embed(server, ["x"], model="text-embedding-3-small")
    assert json.loads(server.asked[0].body)["dimensions"] == 8
    assert embedder.info.model == "text-embedding-3-small@8"


async def test_no_texts_are_no_request():
    async with elsewhere(lengths) as server:
        _, vectors = await embed(server, [])
    assert vectors.shape == (0, 8)
    assert server.asked == []


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (answer(401, {"error": "sk-secret"}), ConfigurationInvalid),
        (answer(404, {}), ModelRequired),
        (answer(429, {}, retry_after="3"), NetworkFailed),
        (answer(503, {}), NetworkFailed),
        (answer(400, {"error": "too long"}), AgentFailed),
        (answer(200, {"data": [{"index": 0, "embedding": [1.0]}]}), ConfigurationInvalid),
        (answer(200, {"data": "x"}), AgentFailed),
        (answer(200, b"x"), AgentFailed),
    ],
)
async def test_failures_are_typed(given, kind):
    async def work(_asked):
        return given

    async with elsewhere(work) as server:
        with pytest.raises(kind) as failed:
            await embed(server, ["x"])
    assert type(failed.value) is kind
    assert "sk-secret" not in failed.value.message


def test_a_model_whose_vectors_are_of_unknown_length_needs_that_set():
    with pytest.raises(ConfigurationInvalid, match=r"embeddings\.dimensions"):
        OpenAiEmbeddings("key", None, "some-model")


def test_without_a_key_or_an_address_it_says_which_to_set():
    with pytest.raises(ConfigurationInvalid, match="OPENAI_API_KEY"):
        OpenAiEmbeddings(None)


@pytest.mark.parametrize(("model", "length"), [(None, 1536), ("text-embedding-3-large", 3072)])
def test_lengths_of_openai_s_models_are_known(model, length):
    assert OpenAiEmbeddings("key", None, model).dimensions == length
