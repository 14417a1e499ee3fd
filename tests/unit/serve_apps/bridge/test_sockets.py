"""v2's events, as a client of the front end's kind says and hears them."""

from contextlib import asynccontextmanager

import pytest
from socketio.exceptions import ConnectionError as NotConnected

from serve_apps.gateway.sockets.bounds import Bounds
from tests.support.bridged import V2, bridged
from tests.support.sockets import hearing, listening, turned_away

TOLD = (
    "connected", "typing", "agent_response", "stopTyping", "error", "pong", "chat_response",
    "mcp:error", "mcp:response",
)  # fmt: skip


@pytest.fixture
async def gateway():
    async with bridged() as api, listening(api.app) as port:
        api.port, api.who = port, await api.user("a@b.example")
        api.token = api.who["Authorization"].removeprefix("Bearer ")
        yield api


@asynccontextmanager
async def talking(api, *, door=V2, query="", **options):
    async with hearing(api.port, TOLD, query=query, headers=door, **options) as talker:
        yield talker


async def test_a_message_is_answered_between_typing_and_its_end(gateway):
    async with talking(gateway, query=f"token={gateway.token}") as talker:
        assert (await talker.next("connected"))["socketId"]
        await talker.client.emit("user_message", "hello")
        typing, (name, told), end = await talker.following(3)
        assert typing == ("typing", {"isTyping": True})
        assert name == "agent_response"
        assert end == ("stopTyping", None)
        assert told["text"] == "You said 'hello' after 0 in v2."
        assert told["speaker"] == "cartrita"
        assert told["tools_used"] == ["calculator"]
        assert told["response_time_ms"] >= 0
        said = {"text": "again", "timestamp": "2026-01-01T00:00:00Z", "language": "en"}
        await talker.client.emit("user_message", said)
        assert (await talker.next("agent_response"))["text"].startswith("You said 'again'")


async def test_what_fails_is_told_and_typing_ends(gateway):
    async with talking(gateway, auth={"token": gateway.token}) as talker:
        await talker.next("connected")
        await talker.client.emit("user_message", "fail")
        told = dict(await talker.following(3))
        assert list(told) == ["typing", "stopTyping", "error"]
        assert told["error"]["message"] == "The model said no."
        await talker.client.emit("user_message", {"nothing": 1})
        assert (await talker.next("error"))["error"] == "Message is required and must be a string"


async def test_who_shows_no_token_may_come_and_may_not_chat(gateway):
    async with talking(gateway) as talker:
        assert (await talker.next("connected"))["socketId"]
        await talker.client.emit("user_message", "hello")
        assert (await talker.next("error"))["message"] == "Authentication required"
        await talker.client.emit("ping", 1700000000000)
        assert await talker.next("pong") == 1700000000000
        echo = {"taskType": "system.echo", "parameters": {"payload": 1}}
        await talker.client.emit("mcp:message", {"messageType": "TASK_REQUEST", "payload": echo})
        assert (await talker.next("mcp:error"))["code"] == "AUTHORIZATION_FAILED"


async def test_a_page_of_the_front_end_may_open_a_socket_at_v2s_own_port():
    page = {"Origin": "http://localhost:5173"}
    bounds = Bounds(older_origins=(page["Origin"],))
    async with bridged(bounds=bounds) as api, listening(api.app) as api.port:
        async with talking(api, door={**V2, **page}) as talker:
            assert (await talker.next("connected"))["socketId"]
        for refused in (page, {**V2, "Origin": "https://evil.example"}):
            with pytest.raises(NotConnected):
                async with talking(api, door=refused):
                    pass


@pytest.mark.parametrize("how", [{"auth": {"token": "a.b.c"}}, {"query": "token=a.b.c"}])
async def test_a_wrong_token_is_refused_in_v2s_words(gateway, how):
    told = await turned_away(gateway.port, headers=V2, **how)
    assert told == "Authentication error: Invalid token."


async def test_the_other_port_wants_a_token_and_knows_the_older_events(gateway):
    told = await turned_away(gateway.port, query=f"token={gateway.token}")
    assert told == "Authentication failed"
    async with talking(gateway, door={}, auth={"token": gateway.token}) as talker:
        await talker.client.emit("chat", {"message": "hi"})
        told = await talker.next("chat_response")
        assert (told["success"], told["event"]) == (True, "chat")
        assert told["data"]["message"].startswith("You said 'hi'")
        await talker.client.emit("chat", {"message": "keyless"})
        told = await talker.next("chat_response")
        assert (told["success"], told["code"]) == (False, "CONFIGURATION_ERROR")
        await talker.client.emit("voice_start", {})
        assert "voice team" in (await talker.next("error"))["message"]


async def test_ambient_says_which_team_is_missing(gateway):
    assert "voice team" in await turned_away(gateway.port, namespace="/ambient", headers=V2)


async def test_secrets_do_not_leave_by_events(gateway):
    async with talking(gateway, auth={"token": gateway.token}) as talker:
        await talker.client.emit("user_message", "sk-abcdefghijklmnop1234")
        assert "sk-a***REDACTED***" in (await talker.next("agent_response"))["text"]
