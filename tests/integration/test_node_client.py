"""The Socket.IO client of Node, as the seed's README uses it."""

import asyncio

import pytest

from tests.support.node import node_client
from tests.support.sockets import socket_gateway, token_of


@pytest.mark.parametrize(
    "transports", [["polling", "websocket"], ["polling"], ["websocket"]], ids=" then ".join
)
async def test_node_runs_a_task_and_streams_another(transports):
    async with socket_gateway() as (api, port):
        who = token_of(await api.user("alice@example.org"))
        url = f"http://127.0.0.1:{port}"
        plain = await asyncio.to_thread(node_client, url, who, "plain", *transports)
        streamed = await asyncio.to_thread(node_client, url, who, "stream", *transports)

    assert [one["name"] for one in plain] == ["mcp:response"]
    assert plain[0]["by"] == transports[-1]
    assert plain[0]["told"]["payload"]["result"] == {"payload": "hello"}
    events = [one["told"]["payload"]["type"] for one in streamed if one["name"] == "mcp:event"]
    assert events == ["accepted", "queued", "started", "completed"]
    assert streamed[-1]["name"] == "mcp:response"
