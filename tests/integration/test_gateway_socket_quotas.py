"""Sockets ask the same limiter as REST, and go on when it refuses."""

import grpc
import pytest

from cartrita.rate import Quota
from serve_apps.rpc.values import pack
from tests.support.rpc import Reflected, foreign, rpc_gateway
from tests.support.sockets import calling, socket_gateway, talking
from tests.support.troupe import Listener

ECHO = {"taskType": "system.echo", "parameters": {"payload": "hello"}}
FOUR = (Quota("principal", 4, 60.0), None)


async def test_commands_on_a_websocket_count_and_are_refused_on_an_open_socket():
    async with socket_gateway(quotas=FOUR) as (api, port):
        alice = await api.user("alice@example.org")
        async with calling(port, alice) as caller:
            done = await caller.ask("submit", task=ECHO, wait=True)
            task = done["result"]["taskId"]
            assert (await caller.ask("get", taskId=task))["ok"]
            assert (await caller.ask("cancel", taskId=task))["ok"]
            assert (await api.http.get("/auth/me", headers=alice)).status_code == 200  # the fourth

            for op, fields in {
                "submit": {"task": ECHO},
                "get": {"taskId": task},
                "subscribe": {"taskId": task},
                "unsubscribe": {"taskId": task},
                "cancel": {"taskId": task},
            }.items():
                error = (await caller.ask(op, **fields))["error"]
                assert (error["code"], error["reason"]) == (
                    "RATE_LIMIT_EXCEEDED",
                    "PRINCIPAL_QUOTA",
                )
                assert error["retryAfter"] > 0
            assert (await caller.ask("ping"))["ok"]
        assert (await api.http.get("/auth/me", headers=alice)).status_code == 429


async def test_messages_on_socket_io_count_and_are_refused_on_an_open_socket():
    async with socket_gateway(quotas=FOUR) as (api, port):
        alice = await api.user("alice@example.org")
        async with talking(port, alice) as talker:
            answer = await talker.send("TASK_REQUEST", ECHO)
            task = answer["payload"]["taskId"]
            assert (await talker.send("HEALTH_CHECK", {}))["messageType"] == "HEALTH_RESPONSE"
            for name in ("mcp:subscribe", "mcp:unsubscribe"):
                assert "error" not in await talker.client.call(name, {"taskId": task}, timeout=10)

            refused = [
                await talker.send("TASK_REQUEST", ECHO),
                await talker.send("TASK_CANCEL", {"taskId": task}),
                await talker.client.call("mcp:subscribe", {"taskId": task}, timeout=10),
            ]
            for error in refused:
                assert (error["code"], error["reason"]) == (
                    "RATE_LIMIT_EXCEEDED",
                    "PRINCIPAL_QUOTA",
                )
                assert error["retryAfter"] > 0
            assert (await talker.send("HEARTBEAT", {}))["messageType"] == "HEARTBEAT"


async def test_pieces_of_a_stream_do_not_count():
    async with socket_gateway(quotas=FOUR, agents=(Listener,)) as (api, port):
        alice = await api.user("alice@example.org")
        async with calling(port, alice) as caller:
            asked = {"taskType": "listen.all", "parameters": {}}
            told = await caller.ask("submit", task=asked, subscribe=True)
            task = told["result"]["taskId"]
            pieces = ["start", *["data"] * 8, "end"]
            for number, piece in enumerate(pieces):
                data = {"data": f"{number}"} if piece == "data" else {}
                sent = await caller.ask("stream", taskId=task, piece=piece, sequence=number, **data)
                assert sent["ok"], sent
            assert (await caller.to_the_end())[-1]["payload"]["type"] == "completed"


async def test_calls_of_grpc_count():
    async with rpc_gateway(quotas=FOUR) as (api, _, channel):
        client = Reflected(channel, await api.user("alice@example.org"))
        task = {"task_type": "system.echo", "parameters": pack({"payload": "hello"})}
        answer = await client.call("MCPSupervisorService", "ProcessTask", task=task)
        await client.call("MCPSupervisorService", "GetCapabilities")
        for method in ("GetStatus", "GetStatus"):
            await client.call("MCPAgentService", method, agent_id="health")

        for service, method, fields in (
            ("MCPSupervisorService", "ProcessTask", {"task": task}),
            ("MCPSupervisorService", "GetCapabilities", {}),
            ("MCPOrchestratorService", "GetAgentHealth", {"agent_id": "health"}),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await client.call(service, method, **fields)
            assert_refused(refused.value)

        call, kind = await client.method("MCPSupervisorService", "StreamTask")
        again = kind(**foreign({"task": {"task_id": answer.result.task_id}}))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            _ = [told async for told in call(iter([again]), metadata=client.token, timeout=20)]
        assert_refused(refused.value)


def assert_refused(error):
    assert error.code().name == "RESOURCE_EXHAUSTED"
    told = dict(error.trailing_metadata())
    assert told["cartrita-code"] == "RATE_LIMIT_EXCEEDED"
    assert told["cartrita-reason"] == "PRINCIPAL_QUOTA"
    assert float(told["retry-after"]) > 0
