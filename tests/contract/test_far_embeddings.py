"""Embedders elsewhere, over real sockets: joined, guarded, counted."""

import asyncio
import json
from decimal import Decimal

import numpy as np
import pytest

from cartrita.clock import ManualClock
from cartrita.cost.fee import Fee
from cartrita.errors import AgentFailed, ConfigurationInvalid, NetworkFailed, Reason
from cartrita.providers import guarded
from cartrita.providers.far_embeddings import FarEmbeddings
from cartrita.providers.guarded import Flow, Guarded
from cartrita.providers.huggingface.vectors import InferenceVectors
from cartrita.providers.openai_embeddings import OpenAiEmbeddings
from cartrita.storage.circuits import FAILURES, REST
from cartrita.storage.memory_circuits import InMemoryCircuits
from tests.support.elsewhere import answer, elsewhere
from tests.support.openai_replies import DIMENSIONS
from tests.support.openai_server import Cut, Fail, Hang, serving


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(guarded, "PAUSE", 0.001)


FEE = Fee(lambda: Decimal("0.00002"))


def embedder(server, *, flow=None, timeout=20.0, hedge_after=None):
    asking = OpenAiEmbeddings("sk", server.base_url, "small", DIMENSIONS, timeout)
    lane = (flow or Flow(InMemoryCircuits())).lane("openai-embeddings", "small")
    return FarEmbeddings(asking, Guarded(lane, hedge_after=hedge_after), FEE)


def sent(server):
    return [request.body["input"] for request in server.seen]


class TestEmbeddings:
    @pytest.mark.parametrize(
        "failure", [Fail(429, headers={"retry-after": "0.01"}), Fail(503), Cut(), Hang()]
    )
    async def test_a_request_that_fails_is_made_once_more(self, failure):
        async with serving() as server:
            server.before_embedding = [failure]
            made = embedder(server, timeout=0.2)
            told = await made.ask(["one", "two words"])
            await made.close()
        assert (told.tokens, told.told, told.vectors.shape) == (3, True, (2, DIMENSIONS))
        assert len(server.seen) == 2

    async def test_tasks_that_ask_at_once_share_a_request_and_each_its_part_of_the_count(self):
        async with serving() as server:
            made = embedder(server)
            told = await asyncio.gather(*(made.ask([f"text {n}"]) for n in range(10)))
            await made.close()
        assert len(sent(server)) == 1
        assert sum(one.tokens for one in told) == 20
        assert {one.tokens for one in told} == {2}

    async def test_one_that_is_cancelled_does_not_take_the_others_along(self):
        async with serving() as server:
            made = embedder(server)
            staying, leaving = (asyncio.create_task(made.ask([text])) for text in ("a b", "c d"))
            await server.came(1)
            leaving.cancel()
            assert (await staying).vectors.shape == (1, DIMENSIONS)
            await made.close()

    async def test_who_is_alone_and_cancelled_closes_the_socket(self):
        async with serving() as server:
            server.before_embedding = [Hang()]
            made = embedder(server)
            asking = asyncio.create_task(made.ask(["x"]))
            request = await server.came(1)
            asking.cancel()
            await asyncio.wait_for(request.left.wait(), 5)
            await made.close()

    async def test_a_request_that_was_made_twice_is_charged_twice(self):
        async with serving() as server:
            server.before_embedding = [Hang()]
            made = embedder(server, hedge_after=0.02)
            told = await made.ask(["two words"])
            await made.close()
        assert told.tokens == 4

    async def test_an_open_circuit_is_named_with_when_to_come_again(self):
        async with serving() as server:
            server.before_embedding = [Fail(503)] * FAILURES
            made = embedder(server, flow=Flow(InMemoryCircuits(), clock=ManualClock()))
            for _ in range(FAILURES):
                with pytest.raises(NetworkFailed) as caught:
                    await made.ask(["x"])
            await made.close()
        assert caught.value.reason == Reason.CIRCUIT_OPEN
        assert "'openai-embeddings:small'" in caught.value.message
        assert 0 < caught.value.retry_after <= REST
        assert len(server.seen) == FAILURES


class TestVectorsOfTheInferenceApi:
    async def ask(self, reply, texts=("one", "two"), **options):
        async def work(_asked):
            return reply

        async with elsewhere(work) as server:
            asking = InferenceVectors("hf_secret", "org/model", 3, f"{server.url}/api", **options)
            made = FarEmbeddings(asking, Guarded(Flow(InMemoryCircuits()).lane("hf")), FEE)
            try:
                return await made.ask(list(texts)), server.asked
            finally:
                await made.close()

    async def test_it_is_asked_as_its_api_has_it_and_tokens_are_estimates(self):
        told, (request,) = await self.ask(answer(body=[[3.0, 4.0, 0.0], [0.0, 0.0, 2.0]]))
        assert request.path == "/api/models/org/model/pipeline/feature-extraction"
        assert request.headers["authorization"] == "Bearer hf_secret"
        body = {"inputs": ["one", "two"], "normalize": True, "truncate": True}
        assert json.loads(request.body) == body
        np.testing.assert_allclose(told.vectors, [[0.6, 0.8, 0], [0, 0, 1]], atol=1e-6)
        assert (told.tokens, told.told) == (2, False)

    @pytest.mark.parametrize(
        ("reply", "kind"),
        [
            (answer(401, {"error": "hf_secret"}), ConfigurationInvalid),
            (answer(503, {"error": "loading", "estimated_time": 20}), NetworkFailed),
            (answer(body=[[1.0], [2.0]]), ConfigurationInvalid),
            (answer(body=[[[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]]]), ConfigurationInvalid),
            (answer(body={"x": 1}), AgentFailed),
            (answer(body=[[1.0, 2.0, 3.0], [1.0]]), AgentFailed),
            (answer(body=b"no json"), AgentFailed),
        ],
    )
    async def test_failures_are_typed(self, reply, kind):
        with pytest.raises(kind) as failed:
            await self.ask(reply)
        assert type(failed.value) is kind
        assert "hf_secret" not in failed.value.message

    @pytest.mark.parametrize(
        ("given", "named"),
        [((None, "m", 3), "HUGGINGFACE_API_KEY"), (("hf", None, 3), r"embeddings\.model")],
    )
    def test_what_is_missing_is_named(self, given, named):
        with pytest.raises(ConfigurationInvalid, match=named):
            InferenceVectors(*given)
