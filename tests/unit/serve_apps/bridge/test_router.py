"""v2's router: which task each of its names runs, and what it answers."""

import pytest

from actors.agents.archivist import Archivist
from actors.agents.language import Language
from actors.agents.librarian import Librarian
from actors.agents.texts import Texts
from cartrita.catalog import discover
from cartrita.providers.chat_models import chat_models
from cartrita.providers.ports import (
    ChatModels,
    Embedder,
    QuestionAnswerer,
    Summarizer,
    TextClassifier,
)
from cartrita.providers.ports_huggingface import HuggingFace
from cartrita.storage.knowledge import Knowledge
from cartrita.storage.memory_knowledge import InMemoryKnowledge
from serve_apps.bridge.services.router import KINDS
from tests.support.bridged import bridged
from tests.support.fakes import FirstLabel, FirstWords, WordEmbedder, WordFinder
from tests.support.hugging import NOTHING
from tests.support.scripted_model import ScriptedModels, said

V2 = {"chat", "embedding", "rerank", "classification", "multilingual", "general", "tool_use",
      "search", "rag"}  # fmt: skip


def test_every_task_of_v2_has_one_of_ours():
    assert set(KINDS.names) >= {name.replace("_", "-") for name in V2}
    known = discover("actors.agents")
    assert {kind.task for kind in KINDS.kinds} <= set(known.names)


def stand(models):
    kept = InMemoryKnowledge()
    ports = {Knowledge: kept, Embedder: WordEmbedder(), ChatModels: models}
    return bridged(agents=(Librarian, Archivist), ports=ports, knowledge=kept)


@pytest.fixture
async def api():
    async with stand(chat_models()) as api:
        api.ann = await api.user("ann@b.example")
        yield api


async def keep(api):
    body = {"title": "Refunds", "content": "Refunds take ten days"}
    made = await api.http.post("/api/knowledge/entries", json=body, headers=api.ann)
    return made.json()["entry"]["id"]


async def route(api, **body):
    return await api.http.post("/api/router", json=body, headers=api.ann)


async def test_search_looks_in_ones_own_knowledge(api):
    made = await keep(api)
    options = {"threshold": 0.1, "documentIds": [made], "limit": 3}
    answer = await route(api, task="search", query="refunds ten days", options=options)
    body = answer.json()
    assert (body["success"], body["task"], body["provider"]) == (True, "search", "knowledge")
    assert body["timing_ms"] >= 0
    result = body["result"]
    assert (result["query"], result["resultCount"]) == ("refunds ten days", 1)
    assert result["queryId"] == answer.headers["x-task-id"]
    assert result["processingTime"] >= 0
    (found,) = result["results"]
    assert (found["document_id"], found["chunk_text"]) == (made, "Refunds take ten days")
    assert found["similarity"] > 0.1


async def test_rag_says_that_it_needs_a_model_where_there_is_none(api):
    answer = await route(api, task="rag", query="When?")
    assert answer.status_code == 501
    body = answer.json()
    assert (body["success"], body["reason"]) == (False, "MODEL_REQUIRED")
    assert "OPENAI_API_KEY" in body["message"]


async def test_rag_answers_with_references_where_there_is_a_model():
    async with stand(ScriptedModels(said("In ten days [1]."))) as api:
        api.ann = await api.user("ann@b.example")
        made = await keep(api)
        options = {"searchThreshold": 0.1}
        body = (await route(api, task="rag", query="refunds", options=options)).json()
        assert body["result"]["response"] == "In ten days [1]."
        assert body["result"]["model"] == "fake/writer"
        (reference,) = body["result"]["references"]
        assert (reference["document_id"], reference["cited"]) == (made, True)
        options["includeReferences"] = False
        body = (await route(api, task="rag", query="refunds", options=options)).json()
        assert body["result"]["references"] == []
        found = await api.http.get(
            "/api/knowledge/search",
            params={"q": "refunds", "threshold": 0.1, "generate_response": "true"},
            headers=api.ann,
        )
        assert found.json()["generated_response"] == "In ten days [1]."


@pytest.mark.parametrize("task", ["chat", "general", "multilingual", "tool_use"])
async def test_what_is_a_chat_is_answered_by_the_chat(api, task):
    body = (await route(api, task=task, prompt="hi")).json()
    assert body["result"]["output"].startswith("You said 'hi'")
    assert body["result"]["model_id"] == "local/test"


async def test_texts_are_embedded_sorted_and_ranked():
    ports = {
        Embedder: WordEmbedder(),
        Summarizer: FirstWords(),
        TextClassifier: FirstLabel(),
        QuestionAnswerer: WordFinder(),
        HuggingFace: NOTHING,
    }
    async with bridged(agents=(Texts, Language), ports=ports) as api:
        api.ann = await api.user("ann@b.example")
        one = (await route(api, task="embedding", prompt="a text")).json()
        assert len(one["result"]["output"]) == WordEmbedder.dimensions
        two = (await route(api, task="embedding", documents=["a", "b"])).json()
        assert len(two["result"]["output"]) == 2
        documents = ["blue sea", "red apple"]
        ranked = (await route(api, task="rerank", query="red", documents=documents)).json()
        assert ranked["result"]["output"][0]["text"] == "red apple"
        options = {"labels": ["x", "y"]}
        sorted_ = (await route(api, task="classification", prompt="t", options=options)).json()
        assert sorted_["result"]["output"][0]["label"] == "x"


async def test_what_is_missing_or_unknown_is_told(api):
    for body, words in (
        ({"prompt": "x"}, "task is required"),
        ({"task": "chat"}, "prompt or query is required"),
    ):
        answer = await route(api, **body)
        assert (answer.status_code, answer.json()["error"]) == (400, words)
    answer = await route(api, task="magic", prompt="x")
    assert answer.status_code == 400
    assert "Unsupported task 'magic'" in answer.json()["error"]
    assert (await api.http.post("/api/router", json={"task": "chat"})).status_code == 401


async def test_health_tells_whether_tasks_are_accepted(api):
    body = (await api.http.get("/api/router/health")).json()
    assert (body["success"], body["status"], body["service"]) == (True, "healthy", "router")
