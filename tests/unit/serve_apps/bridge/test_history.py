"""What was said, and what came of tasks, as v2's front end reads it."""

import pytest

from actors.agents.chat import Chat
from cartrita.agency.sessions import Sessions
from cartrita.providers.ports import ChatModels, Toolbox
from cartrita.storage.memory_threads import InMemoryConversations
from cartrita.storage.threads import Owner, Turn
from serve_apps.bridge.loop import Bridge
from tests.support import tools
from tests.support.api_server import short_folder
from tests.support.bridged import bridged
from tests.support.fakes import FirstWords, WordCounter
from tests.support.gateway import Stand, spoken_to
from tests.support.scripted_model import ScriptedModels
from tests.support.scripted_model import said as spoken

HISTORY, STATS = "/api/chat/history", "/api/chat/stats"


async def say(api, who, *texts, session="s1"):
    """Have somebody say something, as the chat agent keeps it."""
    claims = await api.stand.identity.admit(who["Authorization"].removeprefix("Bearer "))
    owner = Owner(claims.principal().tenant, claims.user, session)
    for text in texts:
        turns = [Turn("user", text, text), Turn("assistant", f"re {text}", text)]
        await api.stand.said.add(owner, turns)


@pytest.fixture
async def api():
    async with bridged() as api:
        api.ann, api.bob = await api.user("ann@b.example"), await api.user("bob@b.example")
        yield api


async def get(api, path, who=None, **query):
    return await api.http.get(path, headers=who or api.ann, params=query)


async def test_history_has_rows_that_the_front_end_reads_oldest_first(api):
    await say(api, api.ann, "hello", "bye")
    body = (await get(api, HISTORY)).json()
    assert {name: body[name] for name in ("count", "limit", "offset")} == {
        "count": 4,
        "limit": 50,
        "offset": 0,
    }
    first, second, *_ = body["conversations"]
    assert first == {
        "id": first["id"],
        "speaker": "user",
        "text": "hello",
        "created_at": first["created_at"],
        "conversation_title": "hello",
        "conversation_id": "s1",
    }
    assert isinstance(first["id"], int)
    assert (second["speaker"], second["text"]) == ("assistant", "re hello")
    assert second["id"] > first["id"]


async def test_history_is_paged_from_its_end(api):
    await say(api, api.ann, "a", "b")
    body = (await get(api, HISTORY, limit=1, offset=1)).json()
    assert [row["text"] for row in body["conversations"]] == ["b"]
    assert (body["count"], body["limit"], body["offset"]) == (1, 1, 1)
    assert (await get(api, HISTORY, limit=9_999)).json()["limit"] == 200
    for wrong in ({"limit": "0"}, {"limit": "x"}, {"offset": "-1"}):
        answer = await get(api, HISTORY, **wrong)
        assert answer.status_code == 400
        assert "must be a number" in answer.json()["error"]


async def test_stats_are_a_bare_row_whose_counts_are_texts(api):
    empty = (await get(api, STATS)).json()
    assert empty == {
        "total_messages": "0",
        "user_messages": "0",
        "cartrita_messages": "0",
        "first_conversation": None,
        "latest_conversation": None,
    }
    await say(api, api.ann, "a", "b")
    body = (await get(api, STATS)).json()
    counts = [body[f"{name}_messages"] for name in ("total", "user", "cartrita")]
    assert counts == ["4", "2", "2"]
    assert body["first_conversation"] <= body["latest_conversation"]


async def test_nobody_reads_counts_or_clears_what_another_said(api):
    await say(api, api.ann, "mine")
    await say(api, api.bob, "theirs", "too", session="s2")
    body = (await get(api, HISTORY)).json()
    assert [row["text"] for row in body["conversations"]] == ["mine", "re mine"]
    assert (await get(api, STATS)).json()["total_messages"] == "2"
    cleared = (await api.http.delete(HISTORY, headers=api.ann)).json()
    assert cleared == {"message": "Chat history cleared", "deletedCount": 1}
    assert (await get(api, HISTORY)).json()["conversations"] == []
    assert (await get(api, STATS, api.bob)).json()["total_messages"] == "4"


async def test_structured_tells_what_came_of_ones_own_tasks(api):
    said = await api.http.post("/api/chat/message", json={"message": "hi"}, headers=api.ann)
    await api.http.post("/api/chat/message", json={"message": "fail"}, headers=api.ann)
    await api.http.post("/api/chat/message", json={"message": "other"}, headers=api.bob)
    body = (await get(api, "/api/chat/structured")).json()
    assert (body["success"], body["count"], body["limit"], body["offset"]) == (True, 2, 20, 0)
    failed, done = body["data"]
    (told,) = done["structured"]
    assert done["id"] == said.headers["x-task-id"]
    assert (told["task"], told["status"]) == ("langchain.chat.execute", "completed")
    assert told["data"]["message"].startswith("You said 'hi'")
    assert failed["structured"][0]["status"] == "failed"
    assert failed["structured"][0]["error"] == "The model said no."
    for query, count in (
        ({"status": "failed"}, 1),
        ({"task": "system.echo"}, 0),
        ({"limit": 1, "offset": 1}, 1),
        ({"offset": 2}, 0),
    ):
        assert (await get(api, "/api/chat/structured", **query)).json()["count"] == count
    for query in ({"status": "odd"}, {"task": "a\0"}, {"offset": 1_001}):
        assert (await get(api, "/api/chat/structured", **query)).status_code == 400


@pytest.mark.parametrize("path", [HISTORY, STATS, "/api/chat/structured"])
async def test_there_is_no_history_without_a_token(api, path):
    assert (await api.http.get(path)).status_code == 401
    bad = await api.http.get(path, headers={"Authorization": "Bearer a.b.c"})
    assert bad.status_code == 403


async def test_a_key_is_no_token_of_a_user(api):
    made = await api.http.post("/v3/keys", json={"name": "k"}, headers=api.ann)
    key = {"Authorization": f"Bearer {made.json()['key']}"}
    assert (await api.http.get(HISTORY, headers=key)).status_code == 401


async def test_what_the_chat_routes_answer_is_the_history_even_when_a_summary_replaced_it():
    kept = InMemoryConversations()
    ports = {
        ChatModels: ScriptedModels(spoken("one two three"), spoken("four")),
        Toolbox: tools.toolbox(),
        Sessions: Sessions(kept, FirstWords(), WordCounter(), most_tokens=4),
    }
    with short_folder() as folder:
        stand = Stand(folder, agents=(Chat,), ports=ports, said=kept)
        async with spoken_to(stand, older=Bridge()) as api:
            api.ann, chat = await api.user("ann@b.example"), "/api/cartrita/chat"
            first = await api.http.post(chat, json={"message": "hello"}, headers=api.ann)
            talk = first.json()["conversationId"]
            again = {"message": "and then?", "conversationId": talk}
            assert (await api.http.post(chat, json=again, headers=api.ann)).status_code == 200
            rows = (await get(api, HISTORY)).json()["conversations"]
            assert [row["text"] for row in rows] == ["hello", "one two three", "and then?", "four"]
            assert {row["conversation_id"] for row in rows} == {talk}
            assert {row["conversation_title"] for row in rows} == {"hello"}
            owner = next(iter(kept._turns))
            assert (await kept.recall(owner)).summary
            assert (await api.http.delete(HISTORY, headers=api.ann)).json()["deletedCount"] == 1
            assert (await kept.recall(owner)).summary == ""
