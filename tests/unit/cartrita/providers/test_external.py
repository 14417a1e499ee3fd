"""What a host makes of the answers of an external agent."""

import asyncio
import hashlib
import hmac
import json
from dataclasses import replace

import pytest

from cartrita.clock import ManualClock, SystemClock, new_id
from cartrita.context import Context
from cartrita.errors import AgentFailed, AgentUnavailable, NetworkFailed, ServiceUnavailable
from cartrita.external.registration import Registration
from cartrita.external.registry import Registered
from cartrita.external.wire import MOST_BYTES
from cartrita.providers.external import HttpAgents
from cartrita.storage.memory_external import InMemoryRegistry
from tests.support.elsewhere import answer, elsewhere, registration, result, task_type

RAIN = {"type": "object", "properties": {"rain": {"type": "boolean"}}, "required": ["rain"]}


def in_time(task, **more):
    clock = SystemClock()
    return Context(new_id(), task, clock=clock, deadline=clock.monotonic() + 30, **more)


class Bench:
    """Agents over a registry in memory, and the one agent that a test answers for."""

    def __init__(self, clock=None):
        self.registry, self.clock = InMemoryRegistry(), clock or SystemClock()
        self.agents = HttpAgents(self.registry, self.clock)

    async def register(self, agent, secret=None, **changes):
        told = Registration.model_validate(registration(agent, **changes))
        await self.registry.put(Registered(told, new_id(), "ada", 0.0, secret=secret))

    async def call(self, parameters=None, **more):
        context = in_time("weather.forecast", **more)
        return await self.agents.call(parameters or {"city": "Ghent"}, context)

    @property
    async def suspected(self):
        (one,) = await self.registry.all()
        return one.suspected


@pytest.fixture
async def bench():
    bench = Bench()
    yield bench
    await bench.agents.close()


def always(given):
    async def work(asked):
        return given

    return work


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        (answer(500, {"error": {"message": "no clouds"}}), AgentFailed, "500: no clouds"),
        (answer(422, {"detail": "which city?"}), AgentFailed, "422: which city?"),
        (answer(404, b"<html>", kind="text/html"), AgentFailed, "404."),
        (answer(503, {"error": "busy"}, retry_after="7"), NetworkFailed, "503: busy"),
        (answer(429, {}), NetworkFailed, "429"),
        (answer(307, {}, location="http://127.0.0.1:1/"), AgentFailed, "redirects"),
        (answer(204, b""), AgentFailed, "did not answer as agreed"),
        (answer(200, b"{"), AgentFailed, "did not answer as agreed"),
        (answer(200, {"rain": True}), AgentFailed, "result: Field required"),
        (answer(200, {"result": [1]}), AgentFailed, "did not answer as agreed"),
        (answer(200, b"fine", kind="text/plain"), AgentFailed, "'text/plain'"),
        (answer(200, b"x", content_encoding="gzip"), AgentFailed, "compressed"),
        (answer(200, b" " * (MOST_BYTES + 1)), AgentFailed, "more than"),
        (result(rain="yes"), AgentFailed, "rain: 'yes' is not of type 'boolean'"),
        (result(rain=True, much=2**70), AgentFailed, "cannot be kept"),
        (answer(200, b"", kind="application/x-ndjson"), NetworkFailed, "without a result"),
        (answer(200, b'{"type": "sing"}', kind="application/x-ndjson"), AgentFailed, "as agreed"),
        (
            answer(200, b'{"type": "progress", "fraction": 2}', kind="application/x-ndjson"),
            AgentFailed,
            "fraction",
        ),
        (
            answer(200, b'data: {"type": "error",\ndata: "message": "no"}', "text/event-stream"),
            AgentFailed,
            "says: no",
        ),
        (
            answer(
                200, b'{"type": "error", "message": "soon", "retryable": true}',
                "application/x-ndjson",
            ),
            NetworkFailed,
            "says: soon",
        ),
    ],
)  # fmt: skip
async def test_each_failure_has_its_error(bench, given, kind, words):
    async with elsewhere(always(given)) as agent:
        await bench.register(agent, taskTypes=[task_type(result=RAIN)])
        with pytest.raises(kind) as caught:
            await bench.call()
    assert words in caught.value.message
    if b"retry-after" in given:
        assert caught.value.retry_after == 7.0


async def test_an_answer_may_come_in_any_pieces_and_hold_nulls(bench):
    body = json.dumps({"result": {"rain": True, "why": None}}).encode()

    async def work(asked):
        async def pieces():
            for byte in body:
                yield bytes([byte])

        return "application/json; charset=utf-8", pieces()

    async with elsewhere(work) as agent:
        await bench.register(agent, taskTypes=[task_type(result=RAIN)])
        assert await bench.call() == {"rain": True, "why": None}


async def test_a_late_answer_is_not_waited_for(bench):
    async def work(asked):
        await asyncio.Event().wait()

    async with elsewhere(work) as agent:
        await bench.register(agent, taskTypes=[task_type(timeoutMs=1000)])
        with pytest.raises(NetworkFailed, match="within 1 s"):
            await bench.call()
        await asyncio.wait_for(agent.left.get(), 5)
    assert await bench.suspected == 1


async def test_nobody_there_is_suspected_once_in_a_while():
    bench = Bench(ManualClock())
    await bench.register(None)
    for seconds in (0, 0.5, 0.5, 0):
        bench.clock.advance(seconds)
        with pytest.raises(NetworkFailed, match="cannot be reached"):
            await bench.call()
    assert await bench.suspected == 2
    await bench.agents.close()


async def test_a_signature_covers_the_time_and_the_body():
    bench = Bench(ManualClock(1_700_000_000.5))
    async with elsewhere() as agent:
        told = {"kind": "hmac", "secret": "correct horse battery"}
        await bench.register(agent, "correct horse battery", authentication=told)
        await bench.call()
        await bench.agents.check((await bench.registry.all())[0])
        for asked in (*agent.asked, *agent.checks):
            stamp, signed = asked.headers["cartrita-signature"].split(",")
            assert stamp == "t=1700000000"
            text = b"1700000000." + asked.body
            expected = hmac.new(b"correct horse battery", text, hashlib.sha256).hexdigest()
            assert signed == f"v1={expected}"
            assert "authorization" not in asked.headers
    await bench.agents.close()


async def test_who_is_gone_or_quarantined_is_not_called(bench):
    with pytest.raises(AgentUnavailable, match="any more"):
        await bench.call()
    async with elsewhere() as agent:
        await bench.register(agent)
        (one,) = await bench.registry.all()
        await bench.registry.note("weather", one.revision, "quarantined", 0.0, "away")
        with pytest.raises(AgentUnavailable, match="away"):
            await bench.call()
        assert agent.asked == []


async def test_an_agent_is_called_while_the_registry_is_away(bench, monkeypatch):
    async def away(*_):
        raise ServiceUnavailable("away")

    async with elsewhere() as agent:
        await bench.register(agent)
        await bench.call()
        monkeypatch.setattr(bench.registry, "serving", away)
        assert await bench.call() == {"heard": {"city": "Ghent"}}
        with pytest.raises(ServiceUnavailable):
            await bench.agents.call({}, in_time("weather.past"))


async def test_who_tries_a_task_again_has_the_key_of_the_first(bench):
    async with elsewhere() as agent:
        await bench.register(agent)
        first = new_id()
        await bench.call(root=first, attempt=2)
        headers = agent.asked[0].headers
    assert headers["idempotency-key"] == first != headers["cartrita-task-id"]
    assert headers["cartrita-attempt"] == "2"


@pytest.mark.parametrize("health", [302, 404, 500, None])
async def test_an_agent_that_is_not_well_says_why(bench, health):
    async with elsewhere() as agent:
        agent.health = health
        await bench.register(agent, healthPath="/live?deep=1")
        with pytest.raises(NetworkFailed) as caught:
            await bench.agents.check((await bench.registry.all())[0])
        assert agent.checks[0].path == "/live?deep=1"
    assert caught.value.message


async def test_a_check_of_one_that_was_removed_meanwhile_needs_no_secret(bench):
    async with elsewhere() as agent:
        await bench.register(agent)
        (one,) = await bench.registry.all()
        await bench.registry.remove("weather")
        assert await bench.agents.check(replace(one)) == "its health answers 200"
