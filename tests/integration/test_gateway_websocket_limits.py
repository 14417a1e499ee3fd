"""Who may open a WebSocket, how many, how fast, and with which codes it ends."""

import asyncio
import json

import pytest
from websockets.exceptions import InvalidStatus

from serve_apps.gateway.sockets.bounds import Bounds
from serve_apps.gateway.sockets.websocket import _Endpoint
from tests.support.sockets import calling, socket_gateway, token_of
from tests.support.troupe import Speaker

ECHO = {"taskType": "system.echo", "parameters": {"payload": "hello"}}


def gateway(**bounds):
    return socket_gateway(agents=(Speaker,), bounds=Bounds(**bounds))


async def test_a_wrong_token_is_told_and_ends_the_socket():
    async with gateway() as (_, port), calling(port, {"Authorization": "Bearer wrong"}) as caller:
        told = await caller.next()
        assert told["error"]["code"] == "AUTHENTICATION_FAILED"
        assert await caller.closed() == (1008, "authentication failed")


@pytest.mark.parametrize("first", ['{"op":"ping"}', '{"op":"auth","token":"wrong"}', "junk", b"\1"])
async def test_a_first_message_that_does_not_say_who_speaks_ends_the_socket(first):
    async with gateway() as (_, port), calling(port) as caller:
        await caller.socket.send(first)
        assert (await caller.next())["ok"] is False
        assert await caller.closed() == (1008, "authentication failed")


async def test_silence_instead_of_a_token_ends_the_socket():
    async with gateway(auth_timeout=0.05) as (_, port), calling(port) as caller:
        assert await caller.closed() == (1008, "authenticate within a few seconds")


async def test_a_token_that_runs_out_ends_the_socket():
    async with gateway(check=0.01) as (api, port):
        alice = await api.user("alice@example.org")
        async with calling(port, alice) as caller:
            assert (await caller.ask("ping"))["ok"]
            api.stand.clock.advance(10**9)
            assert await caller.closed() == (1008, "the token is good no more")


async def test_a_token_that_is_revoked_ends_the_socket():
    async with gateway(check=0.01) as (api, port):
        alice = await api.user("alice@example.org")
        async with calling(port, alice) as caller:
            assert (await caller.ask("ping"))["ok"]
            done = await api.http.post("/auth/logout", headers=alice)
            assert done.is_success, done.text
            assert await caller.closed() == (1008, "the token is good no more")


async def test_another_token_of_the_same_user_keeps_the_socket():
    async with gateway() as (api, port):
        alice, bob = await api.user("alice@example.org"), await api.user("bob@example.org")
        async with calling(port, alice) as caller:
            assert (await caller.ask("auth", token=token_of(alice)))["ok"]
            other = await caller.ask("auth", token=token_of(bob))
            assert other["error"]["code"] == "AUTHENTICATION_FAILED"
            assert (await caller.ask("ping"))["ok"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://[", "file://"])
async def test_pages_of_other_origins_open_no_socket(origin):
    async with gateway() as (api, port):
        alice = await api.user("alice@example.org")
        with pytest.raises(InvalidStatus) as refused:
            async with calling(port, additional_headers={**alice, "Origin": origin}):
                pass
        assert refused.value.response.status_code == 403


async def test_our_own_pages_and_those_that_are_allowed_open_sockets():
    async with gateway(origins=("https://app.example",)) as (api, port):
        alice = await api.user("alice@example.org")
        for origin in (f"http://127.0.0.1:{port}", "https://app.example"):
            async with calling(port, additional_headers={**alice, "Origin": origin}) as caller:
                assert (await caller.ask("ping"))["ok"]


async def test_a_gateway_that_is_full_says_try_again_later():
    async with gateway(connections=1) as (api, port):
        alice = await api.user("alice@example.org")
        async with calling(port, alice) as first:
            assert (await first.ask("ping"))["ok"]
            async with calling(port, alice) as second:
                assert await second.closed() == (1013, "too many sockets are open here")
        async with calling(port, alice) as third:
            assert (await third.ask("ping"))["ok"]


async def test_a_user_with_too_many_sockets_is_told_so_and_others_are_not():
    async with gateway(connections_each=1) as (api, port):
        alice, bob = await api.user("alice@example.org"), await api.user("bob@example.org")
        async with calling(port, alice) as first:
            assert (await first.ask("ping"))["ok"]
            async with calling(port, alice) as second, calling(port, bob) as third:
                assert await second.closed() == (1013, "you have too many sockets open")
                assert (await third.ask("ping"))["ok"]


async def test_too_many_messages_end_the_socket():
    async with gateway(rate=1, burst=5) as (api, port):
        alice = await api.user("alice@example.org")
        async with calling(port, alice) as caller:
            for _ in range(20):
                await caller.say("ping")
            assert await caller.closed() == (1008, "too many messages")


async def test_a_message_that_is_too_long_ends_the_socket():
    async with gateway(message_bytes=1000) as (api, port):
        alice = await api.user("alice@example.org")
        async with calling(port, alice) as caller:
            await caller.say("ping", padding="é" * 600)
            assert await caller.closed() == (1009, "a message is over 1000 bytes")


async def test_too_many_subscriptions_end_the_socket():
    async with gateway(subscriptions=2) as (api, port):
        alice = await api.user("alice@example.org")
        scripts = [api.stand.told.script() for _ in range(3)]
        for script in scripts:
            script.say("accepted")
        async with calling(port, alice) as caller:
            for script in scripts[:2]:
                assert (await caller.ask("subscribe", taskId=script.task_id))["ok"]
            await caller.say("subscribe", taskId=scripts[2].task_id)
            assert await caller.closed() == (1008, "too many subscriptions")
        for script in scripts:
            await script.until(readers=0)


async def test_too_many_commands_at_once_are_refused_and_the_socket_stays():
    async with gateway(commands=1) as (api, port):
        alice = await api.user("alice@example.org")
        task = {"taskType": "speak.steps", "parameters": {}}
        async with calling(port, alice) as caller:
            waiting = await caller.say("submit", task=task, wait=True)
            await api.stand.stage.begun()
            assert (await caller.ask("ping"))["error"]["code"] == "QUEUE_FULL"
            api.stand.stage.release.set()
            assert (await caller.next())["id"] == waiting
            assert (await caller.ask("ping"))["ok"]


async def test_a_socket_on_which_nothing_happens_is_closed():
    async with gateway(check=0.01, idle=0.05) as (api, port):
        alice = await api.user("alice@example.org")
        async with calling(port, alice) as caller:
            assert await caller.closed() == (1000, "idle")


async def test_a_socket_that_waits_for_events_is_not_idle():
    async with gateway(check=0.01, idle=0.05) as (api, port):
        alice = await api.user("alice@example.org")
        script = api.stand.told.script()
        async with calling(port, alice) as caller:
            assert (await caller.ask("subscribe", taskId=script.task_id))["ok"]  # after a second
            script.say("accepted")
            assert (await caller.envelope())["payload"]["type"] == "accepted"


async def test_a_client_that_does_not_read_is_closed_and_costs_no_memory():
    """Spoken to as a server does, because kernels read megabytes ahead."""
    async with gateway(slow=0.05) as (api, _):
        alice = await api.user("alice@example.org")
        script = api.stand.told.script()
        for number in range(10_000):
            script.say("token", {"text": f"{number}"})
        inbox, sent, stuck = asyncio.Queue(), [], asyncio.Event()

        async def send(message):
            sent.append(message)
            if len(sent) > 10 and message["type"] == "websocket.send":
                await stuck.wait()

        app = api.app._app._app  # within the counter and the guard
        scope = {
            "type": "websocket", "path": "/v3/ws", "app": app, "subprotocols": [],
            "headers": [(b"authorization", alice["Authorization"].encode())],
        }  # fmt: skip
        inbox.put_nowait({"type": "websocket.connect"})
        subscribe = json.dumps({"op": "subscribe", "taskId": script.task_id})
        inbox.put_nowait({"type": "websocket.receive", "text": subscribe})
        async with asyncio.timeout(10):
            await _Endpoint()(scope, inbox.get, send)
        await script.until(readers=0)

    assert len(sent) == 12  # it was never more than one message ahead
    assert sent[-1] == {
        "type": "websocket.close", "code": 1013, "reason": "you read too slowly",
    }  # fmt: skip
