"""Socket.IO: the older system's messages, in full and in short, and events by cursor."""

import json

import pytest
from socketio.exceptions import ConnectionError as NotConnected

from cartrita.clock import new_id
from serve_apps.gateway.sockets.bounds import Bounds
from tests.support.gateway import as_header
from tests.support.sockets import calling, socket_gateway, talking
from tests.support.troupe import Listener, Speaker

ECHO = {"taskType": "system.echo", "parameters": {"payload": "hello"}}


@pytest.fixture
async def gateway():
    async with socket_gateway(agents=(Speaker, Listener)) as running:
        yield running


@pytest.fixture
async def alice(gateway):
    return await gateway[0].user("alice@example.org")


@pytest.mark.parametrize(
    "transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids=" then ".join
)
async def test_the_short_form_is_a_whole_message(gateway, alice, transports):
    async with talking(gateway[1], alice, transports=transports) as talker:
        await talker.client.emit("mcp:message", {"messageType": "TASK_REQUEST", "payload": ECHO})
        answer = await talker.next("mcp:response")

    assert answer["messageType"] == "TASK_RESPONSE"
    assert answer["payload"]["status"] == "COMPLETED"
    assert answer["payload"]["result"] == {"payload": "hello"}
    assert answer["correlationId"] == answer["payload"]["taskId"]


async def test_a_full_envelope_is_answered_and_its_fields_hold(gateway, alice):
    envelope = {
        "id": new_id(), "correlationId": "mine", "traceId": "a" * 32, "spanId": "b" * 16,
        "sender": "page", "recipient": "orchestrator", "tags": ["task"],
        "context": {"traceId": "x", "requestId": "r", "timeoutMs": 30000, "sessionId": "s"},
        "delivery": {"guarantee": "AT_LEAST_ONCE", "retryCount": 3, "priority": 9},
        "createdAt": "2026-11-25T12:00:00Z", "permissions": [],
    }  # fmt: skip
    async with talking(gateway[1], alice) as talker:
        answer = await talker.send("TASK_REQUEST", ECHO, **envelope)
        again = await talker.send("TASK_REQUEST", ECHO, **envelope)

    assert answer["correlationId"] == "mine"
    assert answer["replyTo"] == envelope["id"]
    assert answer["recipient"] == "page"
    assert answer["payload"]["traceId"] == "a" * 32
    assert again["payload"]["taskId"] == answer["payload"]["taskId"]  # the id tells a repeat


async def test_a_task_that_streams_shows_its_events_and_then_its_response(gateway, alice):
    task = {"taskType": "speak.text", "parameters": {"text": "one two"}}
    async with talking(gateway[1], alice) as talker:
        await talker.send("TASK_REQUEST", {**task, "preferences": {"streaming": True}})
        envelopes = await talker.to_the_end()
        answer = await talker.next("mcp:response")

    said = [one["payload"]["data"]["text"] for one in envelopes if _is_token(one)]
    assert "".join(said) == "one two "
    assert answer["payload"] == envelopes[-1]["payload"]["data"]


def _is_token(envelope):
    return envelope["messageType"] == "STREAM_DATA"


async def test_a_client_goes_on_where_it_was_on_another_transport(gateway, alice):
    api, port = gateway
    task = {"taskType": "speak.steps", "parameters": {"before": 3, "after": 2}}
    async with calling(port, alice) as caller:
        answer = await caller.ask("submit", task=task, subscribe=True)
        task_id = answer["result"]["taskId"]
        first = [await caller.envelope() for _ in range(4)]
    await api.stand.stage.begun()
    api.stand.stage.release.set()

    async with talking(port, alice, transports=["polling"]) as talker:
        asked = {"taskId": task_id, "after": first[-1]["cursor"]}
        assert await talker.client.call("mcp:subscribe", asked) == {
            "taskId": task_id, "done": False,
        }  # fmt: skip
        rest = await talker.to_the_end()
        over = {"taskId": task_id, "after": rest[-1]["cursor"]}
        assert (await talker.client.call("mcp:subscribe", over))["done"] is True
    async with calling(port, alice) as caller:
        await caller.ask("subscribe", taskId=task_id)
        everything = await caller.to_the_end()

    assert [*first, *rest] == everything


async def test_a_task_is_cancelled(gateway, alice):
    api, port = gateway
    task_id = new_id()
    task = {"taskType": "speak.steps", "parameters": {}, "taskId": task_id}
    message = {"messageType": "TASK_REQUEST", "payload": task}
    async with talking(port, alice) as talker:
        await talker.client.emit("mcp:message", message)
        await api.stand.stage.begun()
        answer = await talker.send("TASK_CANCEL", {"taskId": task_id})

    assert answer["messageType"] == "TASK_RESPONSE"
    assert answer["payload"]["status"] == "CANCELLED"


async def test_bytes_are_streamed_into_a_task(gateway, alice):
    task_id = new_id()
    task = {"taskType": "listen.all", "parameters": {}, "taskId": task_id}
    at = {"streamId": task_id}
    async with talking(gateway[1], alice) as talker:
        await talker.send("TASK_REQUEST", {**task, "preferences": {"streaming": True}})
        start = await talker.send("STREAM_START", {**at, "contentType": "audio/wav"})
        for number in (1, 2):
            await talker.send("STREAM_DATA", {**at, "sequence": number, "data": b"\xff%d" % number})
        gap = await talker.send("STREAM_DATA", {**at, "sequence": 9, "data": b"x"})
        await talker.send("STREAM_DATA", {**at, "sequence": 3, "data": "/zM=", "isFinal": True})
        envelopes = await talker.to_the_end()

    assert (start["messageType"], start["payload"]) == ("STREAM_START", {**at, "sequence": 0})
    assert gap["code"] == "INVALID_MESSAGE_FORMAT"
    result = envelopes[-1]["payload"]["data"]["result"]
    assert result == {
        "pieces": [str(b"\xff1"), str(b"\xff2"), str(b"\xff3")], "contentType": "audio/wav",
    }  # fmt: skip


async def test_signs_of_life_are_answered(gateway, alice):
    async with talking(gateway[1], alice) as talker:
        beat = await talker.send("HEARTBEAT", {})
        health = await talker.send("HEALTH_CHECK", {})

    assert (beat["messageType"], beat["payload"]["status"]) == ("HEARTBEAT", "pong")
    assert health["messageType"] == "HEALTH_RESPONSE"
    assert health["payload"]["status"] == "healthy"
    assert health["payload"]["maxConcurrentTasks"] > 0


async def test_only_administrators_order_something(gateway, alice):
    api, port = gateway
    command = {"type": "HEALTH_CHECK", "target": "tree"}
    async with talking(port, alice) as talker:
        refused = await talker.send("SYSTEM_COMMAND", command)
    async with talking(port, await api.admin()) as talker:
        done = await talker.send("SYSTEM_COMMAND", command)
        stopped = await talker.send("EMERGENCY_STOP", {})

    assert refused["code"] == "AUTHORIZATION_FAILED"
    assert done["payload"]["results"][0]["ok"] is True
    assert stopped["payload"]["command"] == "EMERGENCY_STOP"
    assert [order[0] for order in api.stand.bridge.orders] == ["HEALTH_CHECK", "EMERGENCY_STOP"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (5, "INVALID_MESSAGE_FORMAT"),
        ({"payload": ECHO}, "INVALID_PARAMETERS"),
        ({"messageType": "DANCE", "payload": {}}, "INVALID_PARAMETERS"),
        ({"messageType": "TASK_RESPONSE", "payload": {}}, "INVALID_MESSAGE_FORMAT"),
        ({"messageType": "TASK_REQUEST", "payload": {"taskType": "no.such", "parameters": {}}},
         "INVALID_TASK_TYPE"),
        ({"messageType": "TASK_REQUEST", "payload": {"taskType": "system.echo"}},
         "INVALID_PARAMETERS"),
        ({"messageType": "TASK_CANCEL", "payload": {"taskId": "x"}}, "INVALID_PARAMETERS"),
        ({"messageType": "TASK_CANCEL", "payload": {"taskId": new_id()}}, "AUTHORIZATION_FAILED"),
    ],
)  # fmt: skip
async def test_a_wrong_message_is_refused_and_the_socket_stays(gateway, alice, message, code):
    async with talking(gateway[1], alice) as talker:
        await talker.client.emit("mcp:message", message)
        told = await talker.next("mcp:error")
        beat = await talker.send("HEARTBEAT", {})

    assert isinstance(told["error"], str)
    assert told["code"] == code
    assert beat["payload"]["status"] == "pong"


async def test_a_refusal_names_the_trace(gateway, alice):
    trace = {"traceId": "a" * 32, "spanId": "b" * 16}
    wrong = {"taskType": "no.such", "parameters": {}}
    async with talking(gateway[1], alice) as talker:
        told = await talker.send("TASK_REQUEST", wrong, **trace)

    assert told["traceId"] == trace["traceId"]


@pytest.mark.parametrize("who", [None, as_header("wrong")])
async def test_nobody_connects_without_a_token_of_ours(gateway, who):
    with pytest.raises(NotConnected):
        async with talking(gateway[1], who):
            pass


async def test_tasks_of_others_are_not_found(gateway, alice):
    bob = await gateway[0].user("bob@example.org")
    async with talking(gateway[1], alice) as talker:
        task_id = (await talker.send("TASK_REQUEST", ECHO))["payload"]["taskId"]
    async with talking(gateway[1], bob) as talker:
        answer = await talker.client.call("mcp:subscribe", {"taskId": task_id})

    assert answer["reason"] == "NOT_FOUND"


async def test_a_token_that_runs_out_ends_the_connection():
    async with socket_gateway(bounds=Bounds(check=0.02)) as (api, port):
        alice = await api.user("alice@example.org")
        async with talking(port, alice) as talker:
            assert (await talker.send("HEARTBEAT", {}))["payload"]
            api.stand.clock.advance(10**9)
            await talker.next("disconnect")


async def test_who_never_says_who_they_are_is_let_go():
    async with socket_gateway(bounds=Bounds(auth_timeout=0.05)) as (api, _):
        asked = {"EIO": "4", "transport": "polling"}
        opened = await api.http.get("/socket.io/", params=asked)
        sid = json.loads(opened.text[1:])["sid"]
        poll = await api.http.get("/socket.io/", params={**asked, "sid": sid})

    assert poll.text == "1"  # Engine.IO's word for the end


@pytest.mark.parametrize("transports", [["websocket"], ["polling"]], ids=str)
async def test_too_many_messages_end_the_connection(transports):
    async with socket_gateway(bounds=Bounds(rate=1, burst=8)) as (api, port):
        alice = await api.user("alice@example.org")
        async with talking(port, alice, transports=transports) as talker:
            message = {"messageType": "HEARTBEAT", "payload": {}}
            for _ in range(10):
                await talker.client.emit("mcp:message", message)
            await talker.next("disconnect")


async def test_several_gateways_take_websockets_only():
    async with socket_gateway(bounds=Bounds(redis_url="redis://127.0.0.1:1")) as (api, port):
        alice = await api.user("alice@example.org")
        polled = await api.http.get("/socket.io/", params={"EIO": "4", "transport": "polling"})
        assert polled.status_code == 400
        async with talking(port, alice) as talker:  # whether or not Redis can be reached
            assert (await talker.send("TASK_REQUEST", ECHO))["payload"]["status"] == "COMPLETED"


async def test_pages_of_other_origins_do_not_connect(gateway):
    api, _ = gateway
    asked = {"EIO": "4", "transport": "polling"}
    refused = await api.http.get(
        "/socket.io/", params=asked, headers={"Origin": "https://evil.example"}
    )
    own = await api.http.get(
        "/socket.io/", params=asked, headers={"Origin": "http://cartrita.test"}
    )

    assert refused.status_code == 403
    assert own.status_code == 200


async def test_a_user_with_too_many_connections_is_refused():
    async with socket_gateway(bounds=Bounds(connections_each=1)) as (api, port):
        alice = await api.user("alice@example.org")
        async with talking(port, alice):
            with pytest.raises(NotConnected):
                async with talking(port, alice):
                    pass
