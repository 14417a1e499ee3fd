"""One event log on every transport, on running instances, by other people's clients."""

import asyncio
import json
import subprocess

import grpc
import pytest

from serve_apps.rpc.values import pack, unpack
from tests.support.node import node_client
from tests.support.rpc import Reflected
from tests.support.sockets import calling, talking

pytestmark = [pytest.mark.e2e, pytest.mark.ray, pytest.mark.timeout(400)]

ECHO = {"taskType": "system.echo", "parameters": {"payload": "hello"}}


def who_is(client):
    return {"Authorization": client.headers["Authorization"]}


def token(client):
    return client.headers["Authorization"].removeprefix("Bearer ")


def port_of(instance):
    return int(instance.environment["CARTRITA_SERVER__PORT"])


def test_node_does_the_readmes_example_by_polling_and_then_upgrades(instance):
    client = instance.register("node@example.org")

    (told,) = node_client(instance.urls["api"], token(client), "plain", "polling", "websocket")

    assert (told["name"], told["by"]) == ("mcp:response", "websocket")
    assert told["told"]["payload"]["result"] == {"payload": "hello"}


def test_every_transport_tells_the_same_log(instance):
    client = instance.register("follower@example.org")
    task_id = client.post("/v3/tasks", json=ECHO).json()["taskId"]
    url = f"{instance.urls['api']}/v3/tasks/{task_id}/events"
    words = ["curl", "-sN", "-H", f"Authorization: {client.headers['Authorization']}", url]
    by_curl = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout
    lines = [one[6:] for one in by_curl.splitlines() if one.startswith("data: ")]

    by_socket, by_socket_io, by_grpc = asyncio.run(_read(instance, who_is(client), task_id))

    assert [json.loads(line) for line in lines] == by_socket == by_socket_io == by_grpc
    assert by_socket[-1]["type"] == "completed"


async def _read(instance, who, task_id):
    async with calling(port_of(instance), who) as caller:
        await caller.ask("subscribe", taskId=task_id)
        by_socket = [one["payload"] for one in await caller.to_the_end()]
    async with talking(port_of(instance), who) as talker:
        await talker.client.call("mcp:subscribe", {"taskId": task_id})
        by_socket_io = [one["payload"] for one in await talker.to_the_end()]
    grpc_port = instance.environment["CARTRITA_SERVER__GRPC_PORT"]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        known = Reflected(channel, who)
        assert "cartrita.mcp.v1.MCPSupervisorService" in await known.services()
        done = await known.call(
            "MCPSupervisorService", "ProcessTask",
            task={"task_type": "system.echo", "parameters": pack({"payload": "hello"})},
        )  # fmt: skip
        assert unpack(done.result.result, "result") == {"payload": "hello"}
        call, kind = await known.method("MCPSupervisorService", "StreamTask")
        asked = iter([kind(task={"task_id": task_id})])
        told = [one async for one in call(asked, metadata=known.token, timeout=20)]
    return by_socket, by_socket_io, [unpack(one.chunk.result, "result") for one in told]


def test_two_gateways_serve_node_by_websocket(spare):
    spare.environment["CARTRITA_SERVER__GATEWAY_REPLICAS"] = "2"
    spare.up()
    client = spare.register("node@example.org")

    for _ in range(4):  # so that both gateways are met
        told = node_client(spare.urls["api"], token(client), "stream", "websocket")
        kinds = [one["told"]["payload"]["type"] for one in told if one["name"] == "mcp:event"]
        assert kinds == ["accepted", "queued", "started", "completed"]
        assert told[-1]["name"] == "mcp:response"
        assert told[-1]["told"]["payload"]["result"] == {"payload": "hello"}
