"""Tests of how the clients read one log over wires that break: two gateways, both transports."""

import asyncio
from contextlib import aclosing, asynccontextmanager

import pytest

from cartrita import errors
from cartrita.client import AsyncClient, Client
from cartrita.clock import new_id, new_random
from tests.support.cutting import NEVER, wire
from tests.support.gateway import PASSWORD
from tests.support.hopping import by_sse, two_gateways
from tests.support.sockets import socket_gateway, token_of
from tests.support.troupe import Speaker

COUNT = 300
TASK = {"text": "speech", "before": COUNT // 2, "after": COUNT - COUNT // 2}


@asynccontextmanager
async def speech(allowed):
    """Have a task speak, and give a wire to two gateways, its id, and whose it is."""
    async with two_gateways() as (api, ports), wire(ports, allowed) as cut:
        who = await api.user("alice@example.org")
        async with AsyncClient(f"http://127.0.0.1:{ports[0]}", token_of(who)) as direct:
            task = await direct.submit("speak.steps", TASK)
        await asyncio.wait_for(api.stand.stage.entered.get(), 30)
        yield api, cut, who, task.task_id, ports


def said(events):
    return [event.data["text"] for event in events if event.type == "progress"]


def told(events):
    return [event.model_dump(mode="json", by_alias=True) for event in events]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ways", [("sse", "websocket"), ("websocket",), ("sse",)])
async def test_a_log_is_whole_however_often_the_wire_is_cut(ways, packed):
    randomness = new_random(len(ways) + packed)
    async with speech(lambda _: randomness.randint(2_000, 40_000)) as (api, cut, who, task, ports):
        async with AsyncClient(cut.url, token_of(who), ways=ways, packed=packed) as client:
            events = []
            async with aclosing(client.events(task)) as reading:
                async for event in reading:
                    events.append(event)
                    if len(events) == COUNT // 4:
                        api.stand.stage.release.set()
        truth = [event async for event in by_sse(ports[0], who, task, None)]

    assert said(events) == [str(number) for number in range(COUNT)]
    assert [event["cursor"] for event in told(events)] == [event["cursor"] for event in truth]
    assert cut.cuts > 0
    for way, mark in (("sse", "/events"), ("websocket", "/v3/ws")):
        assert any(mark in line for line in cut.requests) is (way in ways)


async def test_the_blocking_client_hops_as_well():
    randomness = new_random(7)
    async with speech(lambda _: randomness.randint(2_000, 40_000)) as (api, cut, who, task, _):
        api.stand.stage.release.set()

        def read():
            with Client(cut.url, token_of(who)) as client:
                return list(client.events(task))

        events = await asyncio.to_thread(read)

    assert said(events) == [str(number) for number in range(COUNT)]
    assert {line.split()[1].rpartition("/")[2] for line in cut.requests} == {"events", "ws"}


@pytest.mark.parametrize("dead", ["/events", "/v3/ws"])
async def test_a_transport_that_never_gets_through_is_passed_over(dead):
    async with speech(lambda line: 0 if dead in line else NEVER) as (api, cut, who, task, _):
        api.stand.stage.release.set()
        async with AsyncClient(cut.url, token_of(who)) as client:
            events = [event async for event in client.events(task)]

    assert said(events) == [str(number) for number in range(COUNT)]


async def test_a_reader_that_leaves_a_socket_comes_back_behind_its_cursor():
    async with (
        speech(lambda _: NEVER) as (api, cut, who, task, _),
        AsyncClient(cut.url, token_of(who), ways=("websocket",)) as client,
    ):
        async with aclosing(client.events(task)) as reading:
            first = [await anext(reading) for _ in range(10)]
        api.stand.stage.release.set()
        rest = [event async for event in client.events(task, first[-1].cursor)]
        nothing = [event async for event in client.events(task, rest[-1].cursor)]

    assert said([*first, *rest]) == [str(number) for number in range(COUNT)]
    assert nothing == []


async def test_refusals_of_the_socket_are_those_of_the_api():
    async with socket_gateway(agents=(Speaker,)) as (api, port):
        who, url = await api.user("bob@example.org"), f"http://127.0.0.1:{port}"
        async with AsyncClient(url, token_of(who), ways=("websocket",)) as client:
            with pytest.raises(errors.NotFound):
                await anext(client.events(new_id()))
            task = await client.run("speak.text", {"text": "one"})
            with pytest.raises(errors.InvalidParameters):
                await anext(client.events(task.task_id, "no cursor"))
        async with AsyncClient(url, "wrong", ways=("websocket",)) as client:
            with pytest.raises(errors.AuthenticationFailed):
                await anext(client.events(new_id()))


async def test_a_session_that_ended_is_renewed_for_a_socket():
    async with socket_gateway(agents=(Speaker,)) as (api, port):
        await api.user("carol@example.org")
        url, login = f"http://127.0.0.1:{port}", ("carol@example.org", PASSWORD)
        async with AsyncClient(url, "stale", *login, ways=("websocket",)) as client:
            task = await client.run("speak.text", {"text": "one two"})
            client._talk._exchange._sessions.write(
                client._talk._exchange._sessions.read().model_copy(update={"token": "stale"})
            )
            kinds = [event.type async for event in client.events(task.task_id)]
    assert kinds[-1] == "completed"
    assert kinds.count("token") >= 1
