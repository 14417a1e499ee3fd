"""v2's inference routes with a language model at the other end of a socket."""

import json

from tests.support.bridged import bridged
from tests.support.inferring import inferring
from tests.support.openai_server import Fail, Say, serving


def named(server):
    return {"openai_api_key": "sk-test", "openai_base_url": server.base_url}


async def test_a_completion_is_the_model_s():
    async with serving(Say("Good day.")) as server, inferring(named(server)) as api:
        asked = {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Yes?"},
                {"role": "user", "content": "Greet me."},
            ],
            "options": {"model": "gpt-4o-mini", "temperature": 0.5},
        }
        answer = await api.http.post("/api/unified/chat", json=asked)
    body = answer.json()
    assert body["data"]["choices"][0]["message"]["content"] == "Good day."
    assert body["data"]["model"] == "gpt-4o-mini"
    assert body["data"]["usage"]["total_tokens"] > 0
    (request,) = server.requests
    assert (request["model"], request["temperature"]) == ("gpt-4o-mini", 0.5)
    assert [one["content"] for one in request["messages"]][-4:] == [
        "Be brief.",
        "Hi",
        "Yes?",
        "Greet me.",
    ]


async def test_an_answer_from_documents_cites_them():
    async with serving(Say("They are paid in May [1].")) as server, inferring(named(server)) as api:
        asked = {
            "query": "When are refunds paid?",
            "documentStore": ["Our office is in Rome.", "Refunds are paid in May."],
        }
        who = await api.user("ada@example.org")
        answer = await api.http.post("/api/huggingface/rag", json=asked, headers=who)
    body = answer.json()
    assert body["answer"] == "They are paid in May [1]."
    assert [one["text"] for one in body["citations"]] == ["Refunds are paid in May."]
    assert body["generative"] is True


async def test_words_stream_as_the_model_writes_them():
    async with serving(Say("One two three.")) as server, inferring(named(server)) as api:
        answer = await api.http.get("/api/chat/stream", params={"message": "Count."})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-task-id"]
    assert answer.headers["x-legacy-bridge"] == "true"
    lines = [line for line in answer.text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    pieces = [json.loads(line.removeprefix("data: "))["content"] for line in lines[:-1]]
    assert "".join(pieces) == "One two three."
    assert server.requests[0]["stream"] is True


async def test_a_stream_that_fails_says_so_in_an_event():
    refused = Fail(400, "No such thing.")
    async with serving(refused) as server, inferring(named(server)) as api:
        answer = await api.http.get("/api/chat/stream", params={"message": "Count."})
    event, data, *_ = answer.text.split("\n")
    assert event == "event: error"
    assert "No such thing." in json.loads(data.removeprefix("data: "))["message"]
    assert "[DONE]" not in answer.text


async def test_what_was_not_shown_while_it_was_written_comes_whole():
    async with bridged(guests=True) as api:
        asked = {"message": "Hi", "conversation_id": "c1"}
        who = await api.user("ada@example.org")
        answer = await api.http.get("/api/chat/stream", params=asked, headers=who)
        missing = await api.http.get("/api/chat/stream")
    told = {"content": "You said 'Hi' after 0 in c1."}
    head, _, end = answer.text.partition("\n\n")
    assert (json.loads(head.removeprefix("data: ")), end) == (told, "data: [DONE]\n\n")
    assert missing.status_code == 400
    assert missing.json()["error"] == "Message is required and must be a string"


async def test_the_later_rewrite_s_messages_and_key_reach_the_same_chat():
    asked = {
        "messages": [
            {"role": "user", "content": "One"},
            {"role": "assistant", "content": "Two"},
            {"role": "user", "content": "Three"},
        ],
        "conversation_id": "c2",
    }
    async with bridged(guests=False) as api:
        who = await api.user("ada@example.org")
        made = await api.http.post("/v3/keys", json={"name": "rewrite"}, headers=who)
        key = {"X-API-Key": made.json()["key"]}
        body = (await api.http.post("/api/chat", json=asked, headers=key)).json()
        wrong = await api.http.post("/api/chat", json=asked, headers={"X-API-Key": "dev-api-key"})
        nobody = await api.http.post("/api/chat", json=asked)
    assert body["response"] == "You said 'Three' after 2 in c2."
    assert (body["conversation_id"], body["agent_type"]) == ("c2", "chat")
    assert set(body) >= {"processing_time", "token_usage", "timestamp", "metadata"}
    assert (wrong.status_code, nobody.status_code) == (401, 401)
