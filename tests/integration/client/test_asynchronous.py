"""Tests of the asynchronous client over the real application, without a network."""

import asyncio
import json

import httpx
import pytest

from cartrita import errors
from cartrita.client import AsyncClient
from cartrita.clock import new_id
from cartrita.protocol.task import TaskStatus
from tests.support.api_server import ADMIN, Api, lifespan_of, short_folder
from tests.support.effects import doubtful
from tests.support.elsewhere import registration, task_type
from tests.support.runtime import cursor, event


@pytest.fixture
async def client():
    with short_folder() as folder:
        app = Api(folder).application()
        async with lifespan_of(app):
            http = httpx.ASGITransport(app)
            async with AsyncClient("http://127.0.0.1", None, *ADMIN, http=http) as opened:
                yield opened


async def test_tasks_run_side_by_side(client):
    tasks = (client.run("system.echo", {"payload": number}) for number in range(20))
    answers = await asyncio.gather(*tasks)
    assert [answer.unwrap()["payload"] for answer in answers] == list(range(20))


async def test_a_handle_shows_cancels_and_waits(client):
    handle = await client.submit("system.echo", {"payload": 1, "delayMs": 10_000})
    assert not (await handle.status()).terminal
    assert await handle.cancel() is True
    assert (await handle.wait(5)).status is TaskStatus.CANCELLED


async def test_a_failed_task_is_a_value(client):
    answer = await client.run("test.unlucky")
    with pytest.raises(errors.AgentFailed):
        answer.unwrap()


async def test_the_system_can_be_looked_at(client):
    assert (await client.health())["status"] == "healthy"
    assert len(await client.catalog()) == 4
    assert (await client.tree())["orchestrator"]["state"] == "up"
    assert (await client.me()).role == "admin"


async def test_an_external_agent_is_registered_and_removed(client):
    told = registration(name="tide", taskTypes=[task_type("tide.high")])
    assert (await client.register_agent(told))["taskTypes"] == ["tide.high"]
    assert (await client.register_agent(told))["replaced"]
    assert "tide" in [agent["name"] for agent in await client.agents()]
    await client.remove_agent("tide")
    with pytest.raises(errors.NotFound, match="tide"):
        await client.remove_agent("tide")


class Events(httpx.AsyncByteStream):
    """A stream that says some events, and then breaks or ends."""

    def __init__(self, *events, breaks=True):
        self.events, self.breaks, self.closed = events, breaks, False

    async def __aiter__(self):
        yield b"retry: 1000\n\n"
        for told in self.events:
            yield b"data: " + json.dumps(told).encode() + b"\n\n"
        if self.breaks:
            raise httpx.ReadError("torn")

    async def aclose(self):
        self.closed = True


async def test_events_are_taken_up_where_a_stream_broke():
    told = [event(new_id(), place, kind) for place, kind in enumerate(["queued", "failed"])]
    streams = [Events(told[0]), Events(), Events(told[1], breaks=False)]
    left, seen = list(streams), []

    def answer(request):
        seen.append(request.headers.get("Last-Event-ID"))
        return httpx.Response(200, stream=left.pop(0))

    async with AsyncClient(token="t", http=httpx.MockTransport(answer)) as client:
        found = [item.type async for item in client.events(told[0]["taskId"])]

    assert found == ["queued", "failed"]
    assert seen == [None, cursor(0), cursor(0)]
    assert all(stream.closed for stream in streams)


async def test_events_of_a_server_come_to_their_end(api):
    async with AsyncClient(api, None, *ADMIN) as client:
        handle = await client.submit("system.echo", {"payload": 1})
        kinds = [told.type async for told in handle.events()]
        with pytest.raises(errors.NotFound):
            await anext(client.events(new_id()))
    assert kinds == ["accepted", "queued", "started", "completed"]


async def test_the_system_can_be_looked_after(api, inside):
    task = inside.wards[0].admit("somebody")
    async with AsyncClient(api, None, *ADMIN) as client:
        assert task in [row["taskId"] for row in await client.quarantined()]
        assert (await client.inspect(task))["taskId"] == task
        assert (await (await client.retry(task)).wait(5)).unwrap() == {"payload": 1}
        assert await client.discard(task) is False
        effect = await doubtful(inside.trees[0].tables, shard="y/0")
        assert effect in [row["effectId"] for row in await client.effects()]
        assert (await client.resolve(effect, "done"))["state"] == "done"
        assert (await client.command("RESTART", "tree", grace=0))["results"][0]["ok"]
        assert (await client.audit(1))[0]["action"] == "RESTART"


async def test_the_move_from_v2_can_be_looked_after(api):
    async with AsyncClient(api, None, *ADMIN) as client:
        assert (await client.bridge())["share"] == 1.0
        with pytest.raises(errors.ConfigurationInvalid, match="v2_url"):
            await client.roll_back("too slow")
        assert not (await client.resume())["rolledBack"]
        assert {row["route"] for row in await client.bridge_routes()} >= {"POST /api/chat"}
        await client.clear_comparisons()


async def test_keys_are_made_listed_and_revoked(client):
    made = await client.create_key("ci")
    assert made["keyId"] == (await client.keys(limit=1))[0]["keyId"]
    await client.revoke_key(made["keyId"])
    with pytest.raises(errors.NotFound):
        await client.revoke_key(made["keyId"])


async def test_budgets_are_set_and_usage_is_added_up(client):
    name = f"tenant:{new_id()}"
    row = await client.set_budget(name, None, 900)
    assert (await client.budget(name), row["period"]) == (row, "day")
    assert row in await client.budgets(limit=200)
    assert (await client.reset_budget(name))["maxTokens"] is None
    assert (await client.usage("user"))["rows"] == []


async def test_accounts_are_made_and_signed_in(client):
    made = await client.register("new@example.org", "correct horse")
    assert await client.login("new@example.org", "correct horse") == made


async def test_a_refusal_is_typed(client):
    with pytest.raises(errors.NotFound):
        await client.get("018bcfe5-6800-7000-8000-000000000001")


async def test_those_who_need_a_session_together_open_one(client):
    opened = []

    async def count(request):
        if request.url.path == "/auth/login":
            opened.append(request)

    client._http.event_hooks = {"request": [count]}
    await asyncio.gather(*(client.me() for _ in range(10)))
    assert len(opened) == 1


async def test_a_pause_lets_others_run():
    refused = asyncio.Event()
    answers = [httpx.Response(503), httpx.Response(200, json={"queues": {}})]

    def answer(_request):
        refused.set()
        return answers.pop(0)

    async with AsyncClient(http=httpx.MockTransport(answer)) as client:
        waiting = asyncio.create_task(client.health())
        await asyncio.wait_for(refused.wait(), 5)
        assert not waiting.done()
        assert await waiting == {"queues": {}}


async def test_nobody_there_is_told():
    async with AsyncClient("http://127.0.0.1:9", "token", retries=0) as client:
        with pytest.raises(errors.NetworkFailed):
            await client.me()


async def test_a_task_s_whole_story_can_be_read(client):
    done = await client.run("busy.work")
    story = await client.story(done.task_id)
    assert (story["status"], len(story["children"])) == ("COMPLETED", 1)
    assert (await client.story(done.task_id, story["events"][0]["cursor"]))["response"] is None
