"""Providers that fail on real sockets: who is asked next, who is left alone, who says so."""

import asyncio
from dataclasses import replace
from functools import partial
from uuid import UUID

import pytest
from pydantic import SecretStr

from cartrita.clock import ManualClock
from cartrita.config.sections import Models
from cartrita.config.settings import Settings
from cartrita.config.web import Web
from cartrita.context import Context
from cartrita.cost.price import free
from cartrita.egress.client import Bounds
from cartrita.errors import (
    NetworkFailed,
    RateLimitExceeded,
    Reason,
)
from cartrita.openers.web import open_github, open_search
from cartrita.providers import guarded
from cartrita.providers.guarded import Flow
from cartrita.providers.huggingface.inference import InferenceApi
from cartrita.providers.ports_huggingface import TextAsk, TextKind
from cartrita.research.finding import LOCAL, Finder
from cartrita.storage.circuits import FAILURES, REST
from cartrita.storage.memory import InMemoryMemories
from cartrita.storage.memory_circuits import InMemoryCircuits
from cartrita.storage.ports import MemoryRecord
from tests.support.elsewhere import answer, elsewhere
from tests.support.fakes import WordEmbedder
from tests.support.records import ADA
from tests.support.site import HANG, Reply, data, site

PATHS = {"tavily": "/tavily/search", "brave": "/brave/res/v1/web/search"}


def found(name, *titles):
    hits = [
        {"title": t, "url": f"https://{t}.example/", "content": t, "description": t} for t in titles
    ]
    return data({"results": hits, "web": {"results": hits}})


FAILURES_OF_A_SERVER = {
    "429": Reply("", 429),
    "503": Reply("", 503),
    "hangs": HANG,
    "cut": Reply(kind="application/json", headers={"content-length": "999"}, pieces=lambda: [b"{"]),
}


class Web2:
    """Tavily and Brave at one server; each block is what one host has."""

    def __init__(self, server, *, circuits=None, clock=None, **web):
        self.flow = Flow(circuits or InMemoryCircuits(), clock=clock)
        at = {"tavily_url": f"{server.url}/tavily", "brave_url": f"{server.url}/brave"}
        at |= {"brave_api_key": SecretStr("b"), "github_url": f"{server.url}/github"}
        models = Models(tavily_api_key=SecretStr("t"))
        settings = Settings(web=Web(**at, **web), models=models)
        self.search = open_search(settings, self.flow)
        self.search._egress._bounds = Bounds(seconds=0.3, redirects=0)
        self.github = open_github(settings, self.flow)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        await self.search.close()
        await self.github.close()

    async def find(self, *sources):
        return await self.search.search("actors", 5, sources)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(guarded, "PAUSE", 0.001)


@pytest.fixture
async def server():
    pages = {PATHS[name]: found(name, f"{name[0]}1", f"{name[0]}2") for name in PATHS}
    async with site(pages) as made:
        yield made


class TestTheChain:
    async def test_only_the_first_is_asked_while_it_answers(self, server):
        async with Web2(server, chain=("brave", "tavily")) as here:
            assert (await here.find()).sources == ("brave",)
        assert [visit.path for visit in server.visits] == [PATHS["brave"]]

    @pytest.mark.parametrize("failure", FAILURES_OF_A_SERVER)
    async def test_the_next_one_answers_where_it_does_not_and_the_result_says_so(
        self, server, failure
    ):
        server.pages[PATHS["brave"]] = FAILURES_OF_A_SERVER[failure]
        async with Web2(server, chain=("brave",)) as here:
            told = await here.find()
        assert (told.sources, [hit.title for hit in told.hits]) == (("tavily",), ["t1", "t2"])
        (problem,) = told.problems
        assert problem.startswith("brave: ")

    async def test_the_next_one_is_asked_where_it_finds_nothing(self, server):
        server.pages[PATHS["brave"]] = found("brave")
        async with Web2(server, chain=("brave",)) as here:
            told = await here.find()
        assert (told.sources, told.problems) == (("brave", "tavily"), ())
        assert len(told.hits) == 2

    async def test_an_answer_without_hits_is_an_answer_though_the_next_one_fails(self, server):
        server.pages[PATHS["brave"]] = found("brave")
        server.pages[PATHS["tavily"]] = Reply("", 400)
        async with Web2(server, chain=("brave",)) as here:
            told = await here.find()
        assert (told.sources, told.hits, len(told.problems)) == (("brave",), (), 1)

    async def test_what_the_caller_names_is_asked_and_nothing_else(self, server):
        server.pages[PATHS["brave"]] = Reply("", 400)
        async with Web2(server, chain=("tavily",)) as here:
            with pytest.raises(NetworkFailed, match="brave"):
                await here.find("brave")
        assert not server.asked(PATHS["tavily"])

    def test_a_name_that_is_no_engine_is_refused_at_the_start(self):
        with pytest.raises(ValueError, match="'altavista' is no search engine"):
            Web(chain=("altavista",))


class TestTheTenantsOwnTexts:
    @pytest.fixture
    async def finder(self, server):
        memories, embedder = InMemoryMemories(), WordEmbedder()
        vectors = await embedder.embed(["actors are small"])
        record = MemoryRecord(UUID(int=1), "actors are small", 0.0, None, {})
        await memories.store(ADA.tenant, [record], vectors, embedder.info.model)
        for path in PATHS.values():
            server.pages[path] = Reply("", 400)
        async with Web2(server) as here:
            yield Finder(here.search, memories, embedder)

    async def test_they_are_searched_where_no_engine_answers_and_the_result_says_so(self, finder):
        ctx = Context("t", principal=ADA)
        scope, items, sources = await finder.find("actors", 5, (), ctx, free())
        assert (scope, sources) == (LOCAL, [LOCAL])
        assert [item.content for item in items] == ["actors are small"]
        assert "No search engine answered" in ctx.warnings[0]
        assert "your tenant stored" in ctx.warnings[0]

    async def test_where_they_hold_nothing_either_the_failure_is_told(self, finder):
        with pytest.raises(NetworkFailed, match="No search engine answered"):
            await finder.find("zebras", 5, (), Context("t"), free())

    async def test_they_take_no_place_of_an_engine_that_the_caller_names(self, finder):
        with pytest.raises(NetworkFailed):
            await finder.find("actors", 5, ("brave",), Context("t", principal=ADA), free())


class TestOnceMore:
    def failing_first(self, failure, then):
        """Return a page that fails for its first visitor."""
        slow = Reply(b"{", kind="application/json", pieces=list, stays=True)
        left = [slow if failure is HANG else failure]
        return lambda _visit: left.pop() if left else then

    @pytest.mark.parametrize("failure", ["503", "hangs", "cut"])
    async def test_github_is_asked_once_more(self, server, failure):
        page = data({"total_count": 0, "items": []})
        failing = FAILURES_OF_A_SERVER[failure]
        server.pages["/github/search/users"] = self.failing_first(failing, page)
        async with Web2(server) as here:
            here.github._egress._bounds = Bounds(seconds=0.3, redirects=0)
            found = await here.github.search("users", "x", language=None, sort=None, limit=1)
        assert found.total == 0
        assert len(server.asked("/github/search/users")) == 2

    async def test_github_is_not_where_it_wants_us_to_wait(self, server):
        server.pages["/github/search/users"] = Reply("", 429)
        async with Web2(server) as here:
            with pytest.raises(RateLimitExceeded) as caught:
                await here.github.search("users", "x", language=None, sort=None, limit=1)
        assert caught.value.retry_after == 60
        assert len(server.asked("/github/search/users")) == 1

    @pytest.mark.parametrize("failure", ["429", "503", "hangs", "cut"])
    async def test_the_inference_api_says_so_and_the_task_is_tried_again(self, server, failure):
        server.pages["/models/org/m"] = FAILURES_OF_A_SERVER[failure]
        flow = Flow(InMemoryCircuits())
        lane = partial(flow.lane, "huggingface")
        api = InferenceApi("hf", server.url, 0.2, lane=lane)
        with pytest.raises(NetworkFailed) as caught:
            await api.run(TextAsk(kind=TextKind.CLASSIFICATION, model="org/m", text="x"))
        await api.close()
        busy = Reason.PROVIDER_BUSY if failure == "429" else None
        assert (caught.value.reason, caught.value.retryable) == (busy, True)
        circuit, _ = await flow.circuits.change("huggingface:org/m", lambda held: held)
        assert circuit.failures == (0 if busy else 1)


class TestCircuits:
    async def test_an_engine_that_fails_on_one_host_is_left_alone_by_all(self, server):
        server.pages[PATHS["brave"]] = Reply("", 503)
        circuits, clock = InMemoryCircuits(), ManualClock()
        async with (
            Web2(server, circuits=circuits, clock=clock) as here,
            Web2(server, circuits=circuits, clock=clock) as there,
        ):
            while len(server.asked(PATHS["brave"])) < FAILURES:
                await here.search._asked(["brave"], "x", 1)
            came = len(server.asked(PATHS["brave"]))
            told = await there.find()
            assert told.sources == ("tavily",)
            assert "'brave' failed several times in a row" in told.problems[0]
            with pytest.raises(NetworkFailed, match="'brave'") as caught:
                await there.find("brave")
            assert 0 < caught.value.retry_after <= REST
            assert len(server.asked(PATHS["brave"])) == came
            server.pages[PATHS["brave"]] = found("brave", "back")
            clock.advance(REST)
            assert (await there.find("brave")).sources == ("brave",)
            assert set((await here.find()).sources) == {"tavily", "brave"}

    async def test_github_is_left_alone_too(self, server):
        server.pages["/github/search/users"] = Reply("", 503)
        async with Web2(server, clock=ManualClock()) as here:
            ask = partial(here.github.search, "users", language=None, sort=None, limit=1)
            reasons = []
            for number in range(FAILURES):
                with pytest.raises(NetworkFailed) as caught:
                    await ask(str(number))
                reasons.append(caught.value.reason)
        assert reasons[-1] == Reason.CIRCUIT_OPEN
        assert "'github'" in caught.value.message
        assert len(server.asked("/github/search/users")) == FAILURES

    async def test_a_model_of_the_inference_api_is_left_alone_and_others_are_not(self):
        async def work(asked):
            if "broken" in asked.path:
                return answer(503, {"error": "no"})
            return answer(body=[[{"label": "POS", "score": 1.0}]])

        flow = Flow(InMemoryCircuits(), clock=ManualClock())
        async with elsewhere(work) as server:
            api = InferenceApi("hf", server.url, lane=partial(flow.lane, "huggingface"))
            ask = TextAsk(kind=TextKind.CLASSIFICATION, model="org/broken", text="x")
            for _ in range(FAILURES + 1):
                with pytest.raises(NetworkFailed) as caught:
                    await api.run(ask)
            assert caught.value.reason == Reason.CIRCUIT_OPEN
            assert "'huggingface:org/broken'" in caught.value.message
            assert len(server.asked) == FAILURES
            fine = await api.run(ask.model_copy(update={"model": "org/fine"}))
            assert fine.findings[0].label == "POS"
            await api.close()

    async def test_a_slow_engine_is_asked_twice_where_the_settings_say_so(self, server):
        came = asyncio.Event()

        def first_hangs(_visit):
            first, slow = not came.is_set(), Reply(b"{", kind="application/json", stays=True)
            came.set()
            return replace(slow, pieces=list) if first else found("brave", "b1")

        server.pages[PATHS["brave"]] = first_hangs
        async with Web2(server, hedge_after_s=0.02) as here:
            here.search._egress._bounds = Bounds(seconds=20, redirects=0)
            assert [hit.title for hit in (await here.find("brave")).hits] == ["b1"]
        assert len(server.asked(PATHS["brave"])) == 2
