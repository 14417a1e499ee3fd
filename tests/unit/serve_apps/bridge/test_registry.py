"""Tests of v2's registry of tools."""

import pytest

from tests.support.bridged import bridged


@pytest.fixture
async def api():
    async with bridged() as api:
        yield api


async def test_task_types_are_found_by_their_words(api):
    found = (await api.http.get("/api/internal/registry/search?q=chat%20EXECUTE")).json()
    assert [one["name"] for one in found["results"]] == ["langchain.chat.execute"]
    assert found["count"] == 1
    assert (await api.http.get("/api/internal/registry/search?q=unheard-of")).json()["count"] == 0
    assert (await api.http.get("/api/internal/registry/search")).status_code == 400


async def test_it_tells_how_many_there_are(api):
    told = (await api.http.get("/api/internal/registry/status")).json()
    assert told["total_tools"] >= 5
    assert told["success"] is True


@pytest.mark.parametrize("name", ["ai-hub/health", "ai-hub/status", "ai-hub/test", "debug-direct"])
async def test_what_only_says_that_it_is_there_is_there(api, name):
    assert (await api.http.get(f"/api/{name}")).status_code == 200


async def test_what_is_not_there_yet_answers_in_v2s_shape(api):
    who = await api.user("a@b.example")
    answer = await api.http.post("/api/voice-chat/speak", json={"text": "a"}, headers=who)
    assert answer.status_code == 501
    assert answer.json()["error"] == "Not implemented yet"
    assert "voice" in answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/fine-tuning/jobs"), ("GET", "/api/workflows"), ("POST", "/api/workflows")],
)
async def test_what_was_open_to_everybody_asks_who_is_there(api, method, path):
    assert (await api.http.request(method, path, json={})).status_code == 401


async def test_nothing_is_evaluated(api):
    sent = {"expression": "1 + 1", "context": {}}
    answer = await api.http.post("/api/workflows/expressions/evaluate", json=sent)
    assert answer.status_code == 404
    assert answer.json()["error"] == "Endpoint not found"
