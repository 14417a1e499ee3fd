"""Tests of the asynchronous client over the real application, without a network."""

import asyncio

import httpx
import pytest

from cartrita import errors
from cartrita.client import AsyncClient
from cartrita.protocol.task import TaskStatus
from tests.support.api_server import ADMIN, Api, lifespan_of, short_folder


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
    assert len(await client.catalog()) == 3
    assert (await client.tree())["orchestrator"]["state"] == "up"
    assert (await client.me()).role == "admin"


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
