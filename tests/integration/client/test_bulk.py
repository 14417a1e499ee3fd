"""Tests of batches and lists, by both clients over a real server."""

import asyncio
from contextlib import aclosing

import httpx
import pytest

from cartrita import errors
from cartrita.client import AsyncClient, Client
from cartrita.clock import new_id
from tests.support.api_server import ADMIN


@pytest.fixture
def blocking(api):
    with Client(api, None, *ADMIN) as opened:
        yield opened


@pytest.fixture
async def client(api):
    async with AsyncClient(api, None, *ADMIN) as opened:
        yield opened


def asked(number, **more):
    for place in range(number):
        yield ("system.echo", {"payload": place, **more})


MIXED = [
    ("system.echo", {"payload": "slow", "delayMs": 300}),
    ("system.ehco", {}),
    errors.InvalidParameters("It is no task."),
    ("test.unlucky", None, {"priority": 9}),
]


def assert_mixed(results):
    assert [result.place for result in results] == [0, 1, 2, 3]
    slow, unknown, none, unlucky = results
    assert slow.unwrap() == {"payload": "slow"}
    assert isinstance(unknown.error, errors.InvalidTaskType)
    assert (none.task_id, none.error) == (None, MIXED[2])
    assert unlucky.outcome.error_code == "AGENT_ERROR"
    assert [result.completed for result in results] == [True, False, False, False]


def test_every_task_has_its_result(blocking):
    assert_mixed(list(blocking.batch(MIXED)))


async def test_every_task_has_its_result_in_a_loop_too(client):
    assert_mixed([result async for result in client.batch(MIXED)])


def test_more_tasks_than_are_under_way(blocking):
    results = list(blocking.batch(asked(25), at_once=4))
    assert [result.unwrap()["payload"] for result in results] == list(range(25))


async def test_results_come_as_tasks_end(client):
    tasks = [("system.echo", {"payload": delay, "delayMs": delay}) for delay in (900, 0, 300)]
    ended = [result.place async for result in client.batch(tasks, ordered=False)]
    assert ended == [1, 2, 0]


async def test_no_more_is_read_than_there_is_room_for(client):
    read = 0

    async def endless():
        nonlocal read
        while True:
            read += 1
            yield ("system.echo", {"payload": read})

    async with aclosing(client.batch(endless(), at_once=5)) as results:
        async for result in results:
            assert read <= result.place + 6
            if result.place == 20:
                break
    assert len(asyncio.all_tasks()) == 1


async def test_what_goes_wrong_while_tasks_are_read_ends_the_batch(client):
    async def broken():
        yield ("system.echo", {"payload": 1})
        raise LookupError("no more")

    with pytest.raises(LookupError):
        async for _ in client.batch(broken()):
            pass


async def test_a_server_that_is_away_ends_the_batch():
    async def nobody(request):
        raise httpx.ConnectError("nobody listens", request=request)

    transport = httpx.MockTransport(nobody)
    async with AsyncClient("http://127.0.0.1", "token", retries=0, http=transport) as client:
        with pytest.raises(errors.NetworkFailed):
            async for _ in client.batch(asked(3)):
                pass


async def test_a_task_the_server_lost_is_handed_in_again(api):
    """As after a server without a database started anew."""
    lost = set()

    class Forgetful(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request):
            looked = request.method == "GET" and request.url.path.startswith("/v3/tasks/")
            if looked and request.url.path not in lost:
                lost.add(request.url.path)
                body = {"code": "AUTHORIZATION_FAILED", "reason": "NOT_FOUND"}
                return httpx.Response(404, json=body, request=request)
            return await super().handle_async_request(request)

    async with AsyncClient(api, None, *ADMIN, http=Forgetful()) as client:
        results = [result.unwrap()["payload"] async for result in client.batch(asked(3))]
    assert results == [0, 1, 2]
    assert len(lost) == 3


def test_a_list_goes_over_all_pages(blocking, monkeypatch):
    monkeypatch.setattr("cartrita.client.bulk_blocking.LONGEST_PAGE", 2)
    session = new_id()
    tasks = [("system.echo", {"payload": n}, {"session_id": session}) for n in range(5)]
    made = {result.task_id for result in blocking.batch(tasks)}
    listed = list(blocking.tasks(session_id=session))
    assert {task.task_id for task in listed} == made
    assert len(list(blocking.tasks(3, session_id=session))) == 3
    assert list(blocking.tasks(session_id=session, status=["FAILED"])) == []


async def test_a_list_goes_over_all_pages_in_a_loop_too(client, monkeypatch):
    monkeypatch.setattr("cartrita.client.bulk_async.LONGEST_PAGE", 2)
    session = new_id()
    tasks = [("system.echo", {"payload": n}, {"session_id": session}) for n in range(3)]
    made = {result.task_id async for result in client.batch(tasks)}
    assert {task.task_id async for task in client.tasks(session_id=session)} == made


async def test_who_signs_out_has_to_sign_in_again(api):
    async with AsyncClient(api) as client:
        await client.login(*ADMIN)
        assert await client.logout() is True
        assert await client.logout() is False
        with pytest.raises(errors.AuthenticationFailed):
            await client.me()
