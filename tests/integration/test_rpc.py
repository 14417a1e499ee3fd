"""gRPC: the three services, called by a client that knows them by reflection alone."""

import grpc
import pytest
from google.protobuf import any_pb2, wrappers_pb2

from cartrita.clock import new_id
from serve_apps.gateway.sockets.bounds import Bounds
from serve_apps.rpc.schema import compiled, message
from serve_apps.rpc.values import pack, unpack
from tests.support.rpc import Reflected, foreign, rpc_gateway
from tests.support.sockets import calling
from tests.support.troupe import Listener, Speaker

SUPERVISOR, AGENT = "MCPSupervisorService", "MCPAgentService"
ORCHESTRATOR = "MCPOrchestratorService"


@pytest.fixture
async def gateway():
    async with rpc_gateway(agents=(Speaker, Listener)) as running:
        yield running


@pytest.fixture
async def client(gateway):
    return Reflected(gateway[2], await gateway[0].user("alice@example.org"))


def echo(payload="hello", **fields):
    return {"task_type": "system.echo", "parameters": pack({"payload": payload}), **fields}


def holding(name, **fields):
    told = any_pb2.Any()
    told.Pack(message(name)(**fields))
    return told


async def streamed(client, service, name, requests):
    call, kind = await client.method(service, name)
    made = [kind(**foreign(fields)) for fields in requests]
    return [told async for told in call(iter(made), metadata=client.token, timeout=20)]


async def test_the_services_are_listed(client):
    assert sorted(await client.services()) == [
        "cartrita.mcp.v1.MCPAgentService",
        "cartrita.mcp.v1.MCPOrchestratorService",
        "cartrita.mcp.v1.MCPSupervisorService",
        "grpc.reflection.v1alpha.ServerReflection",
    ]


@pytest.mark.parametrize(
    ("service", "name", "more"),
    [
        (SUPERVISOR, "ProcessTask", {}),
        (AGENT, "ExecuteTask", {}),
        (SUPERVISOR, "DelegateTask", {"target_agent_id": "health"}),
    ],
)
async def test_a_task_runs(client, service, name, more):
    payload = {"text": "é", "whole": 5, "half": 0.5, "list": [1, None, True], "deep": {"a": {}}}

    answer = await client.call(service, name, task=echo(payload, priority=9), **more)

    assert answer.result.status == 3  # COMPLETED
    assert unpack(answer.result.result, "result") == {"payload": payload}
    assert answer.result.task_id


async def test_parameters_may_be_json_where_a_double_is_not_exact(client):
    given = any_pb2.Any()
    given.Pack(wrappers_pb2.StringValue(value='{"payload": "x", "delayMs": 1}'))

    answer = await client.call(
        SUPERVISOR, "ProcessTask", task={"task_type": "system.echo", "parameters": given}
    )

    assert answer.result.status == 3


async def test_a_repeat_with_the_same_key_is_the_same_task(client):
    key = [("idempotency-key", "once")]
    first = await client.call(SUPERVISOR, "ProcessTask", key, task=echo())
    second = await client.call(SUPERVISOR, "ProcessTask", key, task=echo())

    assert second.result.task_id == first.result.task_id


@pytest.mark.parametrize(
    ("task", "status", "code"),
    [
        ({}, "INVALID_ARGUMENT", "INVALID_PARAMETERS"),
        ({"task_type": "no.such"}, "INVALID_ARGUMENT", "INVALID_TASK_TYPE"),
        ({"task_type": "system.echo"}, "INVALID_ARGUMENT", "INVALID_PARAMETERS"),
        (echo(task_id="x"), "INVALID_ARGUMENT", "INVALID_PARAMETERS"),
        (echo(priority=11), "INVALID_ARGUMENT", "INVALID_PARAMETERS"),
    ],
)
async def test_a_wrong_request_is_refused(client, task, status, code):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.call(SUPERVISOR, "ProcessTask", task=task)

    assert refused.value.code().name == status
    assert dict(refused.value.trailing_metadata())["cartrita-code"] == code


async def test_an_answer_and_a_refusal_name_the_trace(client):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    call, kind = await client.method(SUPERVISOR, "ProcessTask")
    metadata = (*client.token, ("traceparent", trace))

    answered = call(kind(**foreign({"task": echo()})), metadata=metadata, timeout=20)
    await answered
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.call(SUPERVISOR, "ProcessTask", [metadata[-1]], task={})

    assert dict(await answered.trailing_metadata())["traceparent"] == trace
    assert dict(refused.value.trailing_metadata())["traceparent"] == trace


@pytest.mark.parametrize("who", [None, {"Authorization": "Bearer wrong"}])
async def test_nobody_calls_without_a_token_of_ours(gateway, who):
    client = Reflected(gateway[2], who)
    for service, name in ((SUPERVISOR, "ProcessTask"), (SUPERVISOR, "GetCapabilities")):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.call(service, name)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await streamed(client, SUPERVISOR, "StreamTask", [])
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_events_stream_and_go_on_where_another_transport_was(gateway, client):
    speech = {"task_type": "speak.text", "parameters": pack({"text": "a b"})}
    chunks = await streamed(client, SUPERVISOR, "StreamTask", [{"task": speech}])
    events = [unpack(chunk.chunk.result, "result") for chunk in chunks]
    task_id = chunks[0].chunk.task_id

    async with calling(gateway[1], client.who) as caller:
        await caller.ask("subscribe", taskId=task_id)
        elsewhere = [envelope["payload"] for envelope in await caller.to_the_end()]
    later = {"task_id": task_id, "metadata": {"cursor": events[2]["cursor"]}}
    rest = await streamed(client, SUPERVISOR, "StreamTask", [{"task": later}])

    assert [chunk.chunk.status for chunk in chunks] == [2] * (len(chunks) - 1) + [3]
    assert events == elsewhere
    assert [unpack(chunk.chunk.result, "result") for chunk in rest] == events[3:]


async def test_many_tasks_share_one_stream(client):
    chunks = await streamed(client, SUPERVISOR, "StreamTask", [{"task": echo(n)} for n in range(9)])

    ended = {chunk.chunk.task_id for chunk in chunks if chunk.chunk.status == 3}
    assert len(ended) == 9


async def test_tasks_of_others_are_not_found(gateway, client):
    bob = Reflected(gateway[2], await gateway[0].user("bob@example.org"))
    done = await client.call(SUPERVISOR, "ProcessTask", task=echo())

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await streamed(bob, SUPERVISOR, "StreamTask", [{"task": {"task_id": done.result.task_id}}])

    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_message_is_routed(client):
    said = {
        "id": new_id(), "message_type": 1, "payload": holding("TaskRequest", **echo()),
        "sender": "page", "delivery": {"guarantee": 2, "priority": 7},
    }  # fmt: skip
    answer = await client.call(ORCHESTRATOR, "RouteMessage", message=said)
    held = message("TaskResponse")()

    assert answer.message.message_type == 2
    assert (answer.message.correlation_id, answer.message.recipient) == (said["id"], "page")
    assert answer.message.payload.Is(held.DESCRIPTOR)
    held.ParseFromString(answer.message.payload.value)
    assert held.status == 3


async def test_messages_stream_both_ways(client):
    task_id = new_id()
    task = {"task_type": "listen.all", "task_id": task_id, "parameters": pack({})}
    start = holding("StreamStart", stream_id=task_id, content_type="audio/wav")
    data = holding("StreamData", stream_id=task_id, sequence=1, data=b"\xff", is_final=True)
    told = await streamed(client, ORCHESTRATOR, "StreamMessages", [
        {"subscription": {"message_type": 1, "payload": holding("TaskRequest", **task)}},
        {"subscription": {"message_type": 3, "payload": start}},
        {"subscription": {"message_type": 4, "payload": data}},
        {"subscription": {"message_type": 6, "id": "m", "payload": pack({"taskId": "x"})}},
    ])  # fmt: skip

    kinds = [one.message.message_type for one in told]
    assert kinds.count(3) == kinds.count(4) == kinds.count(7) == kinds.count(2) == 1
    error = next(one.message for one in told if one.message.message_type == 7)
    assert error.correlation_id == "m"
    end = unpack(next(o.message.payload for o in told if o.message.message_type == 2), "payload")
    assert end["data"]["result"] == {"pieces": [str(b"\xff")], "contentType": "audio/wav"}


async def test_agents_are_described(client):
    told = await client.call(SUPERVISOR, "GetCapabilities", agent_id="health")
    everybody = await client.call(SUPERVISOR, "GetCapabilities")
    health = await client.call(ORCHESTRATOR, "GetAgentHealth", agent_id="health")
    status = await client.call(AGENT, "GetStatus", agent_id="health")

    assert "system.echo" in told.capabilities.task_types
    assert len(everybody.capabilities.agent_capabilities) == 5
    assert health.status.healthy
    assert status.status.healthy
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.call(AGENT, "GetStatus", agent_id="nobody")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_only_administrators_order_something(gateway, client):
    api = gateway[0]
    admin = Reflected(gateway[2], await api.admin())
    command = {"type": 2, "payload": pack({"target": "system/0", "arguments": {"grace": 1}})}
    update = {"agent_id": "bench", "config_changes": {"concurrency": "3"}}

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.call(ORCHESTRATOR, "ExecuteCommand", command=command)
    done = await admin.call(ORCHESTRATOR, "ExecuteCommand", command=command)
    changed = await admin.call(AGENT, "UpdateConfig", update=update)

    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert done.result.success
    assert not changed.result.success  # the bridge of tests says so for agents
    assert [order[:3] for order in api.stand.bridge.orders] == [
        ("RESTART", "system/0", {"grace": 1.0}),
        ("CONFIG_UPDATE", "agent:bench", {"concurrency": 3}),
    ]


async def test_a_stream_ends_when_its_token_runs_out():
    async with rpc_gateway(Bounds(check=0.02), agents=(Speaker,)) as (api, _, channel):
        client = Reflected(channel, await api.user("alice@example.org"))
        call, kind = await client.method(SUPERVISOR, "StreamTask")
        task = {"task_type": "speak.steps", "parameters": pack({})}
        telling = call(iter([kind(**foreign({"task": task}))]), metadata=client.token, timeout=20)
        await telling.read()
        await api.stand.stage.begun()
        api.stand.clock.advance(10**9)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _to_the_end(telling)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def _to_the_end(telling):
    while await telling.read() is not grpc.aio.EOF:
        pass


def test_field_numbers_are_those_of_the_older_system():
    numbers = {
        name: [field.name for field in sorted(kind.fields, key=lambda f: f.number)]
        for name, kind in compiled().message_types_by_name.items()
    }
    for kind in compiled().message_types_by_name.values():
        assert sorted(f.number for f in kind.fields) == [*range(1, len(kind.fields) + 1)]
    assert numbers["TaskRequest"] == [
        "task_type", "task_id", "parameters", "metadata", "preferred_agent", "priority", "deadline",
    ]  # fmt: skip
    assert numbers["TaskResponse"] == [
        "task_id", "status", "result", "error_message", "error_code", "metrics", "warnings",
    ]  # fmt: skip
    assert numbers["MCPMessage"] == [
        "id", "correlation_id", "trace_id", "span_id", "sender", "recipient", "message_type",
        "payload", "tags", "context", "delivery", "created_at", "expires_at", "security_token",
        "permissions",
    ]  # fmt: skip
    assert numbers["StreamData"] == ["stream_id", "sequence", "data", "is_final"]
