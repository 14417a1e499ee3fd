"""v2's inference routes over the real gateway and agents, with built-in models."""

import pytest
import pytest_asyncio

from cartrita.cost.budget import Ceiling, Defaults
from serve_apps.bridge.services.inference import KINDS
from tests.support.inferring import inferring

SUMMARY = {
    "text": "The release is postponed to Friday because two payment tests fail. Maria found the "
    "cause. Please merge nothing else until then."
}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api():
    async with inferring() as api:
        api.who = await api.user("ada@example.org")
        yield api


async def post(api, path, body, who=None, status=200, **more):
    answer = await api.http.post(f"/api{path}", json=body, headers=who or {}, **more)
    assert answer.status_code == status, answer.text
    return answer.json()


async def get(api, path, who=None, status=200):
    answer = await api.http.get(f"/api{path}", headers=who or {})
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_unified_routes_answer_guests_with_what_is_built_in(api):
    asked = {"task": "summarization", "inputs": SUMMARY["text"], "options": {"max_length": 40}}
    body = await post(api, "/unified/inference", asked)
    assert body["data"]["summary_text"]
    told = body["metadata"]
    assert told["model_used"] == "local/minilm-extractive"
    assert (told["provider"], told["attempt_count"]) == ("embedded", 1)
    assert told["request_id"]
    assert told["latency_ms"] > 0
    short = await post(api, "/unified/summarize", SUMMARY)
    assert set(short) == {"success", "data", "metadata"}
    sorted_ = await post(
        api,
        "/unified/classify",
        {"text": "The striker scored twice.", "candidateLabels": ["sports", "food"]},
    )
    assert sorted_["data"]["labels"][0] == "sports"
    assert sorted_["data"]["sequence"] == "The striker scored twice."
    assert len(sorted_["data"]["scores"]) == 2
    one = await post(api, "/unified/embeddings", {"text": "Hello"})
    two = await post(api, "/unified/embeddings", {"text": ["Hello", "Bye"]})
    assert len(one["data"]) == 384
    assert two["data"][0] == pytest.approx(one["data"], abs=1e-5)
    chat = await post(
        api,
        "/unified/chat",
        {"messages": [{"role": "user", "content": "What is 15% of 240?"}]},
    )
    (choice,) = chat["data"]["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": "36 (calculator: 15/100*240)",
    }
    assert (chat["data"]["object"], chat["data"]["model"]) == (
        "chat.completion",
        "local/tool-router-1",
    )
    assert isinstance(chat["data"]["created"], int)


async def test_counters_tell_of_tasks_that_ran(api):
    before = (await get(api, "/unified/metrics"))["metrics"]
    await post(api, "/unified/summarize", SUMMARY)
    api.stand.clock.advance(2)
    body = await get(api, "/unified/metrics")
    after = body["metrics"]
    assert after["totalRequests"] == before["totalRequests"] + 1
    assert after["byTask"]["huggingface.text.summarization"] >= 1
    assert after["averageLatency"] > 0
    health = await get(api, "/unified/health")
    assert health["status"] in ("healthy", "degraded")
    assert health["availableModels"] == len(KINDS.groups)
    assert (await get(api, "/ai/health"))["service"] == "multi-provider-ai"
    assert (await get(api, "/huggingface/health"))["health"]["totalRequests"] >= 1


async def test_what_is_missing_or_unknown_is_told_in_v2_s_words(api):
    body = await post(api, "/unified/inference", {"task": "chat"}, status=400)
    assert body["error"] == "Task and inputs are required"
    body = await post(api, "/unified/inference", {"task": "dance", "inputs": "x"}, status=400)
    assert "summarization" in body["error"]
    body = await post(api, "/unified/inference", {"task": "asr", "inputs": "x"}, status=501)
    assert "voice" in body["message"]
    body = await post(api, "/unified/speech-to-text", {"audio": "x"}, status=501)
    assert body["error"] == "Not implemented yet"
    ner = {"task": "ner", "inputs": "Ada lives in Rome."}
    body = await post(api, "/unified/inference", ner, status=501)
    assert (body["success"], body["reason"]) == (False, "MODEL_REQUIRED")
    assert "huggingface.path" in body["message"]
    asked = {"task": "chat", "inputs": "Hi", "options": {"model": "gpt-4o"}}
    body = await post(api, "/unified/inference", asked, status=501)
    assert "OPENAI_API_KEY" in body["message"]
    asked = {"task": "qa", "inputs": {"question": "Where?"}}
    body = await post(api, "/unified/inference", asked, status=400)
    assert body["details"][0]["field"] == "parameters.context"


async def test_ai_aliases_answer_what_the_front_end_reads(api):
    asked = {"task": "sentiment", "input": "I love it, it is great!", "params": {}}
    body = await post(api, "/ai/inference", asked)
    assert {"id", "task", "model", "latencyMs", "payload", "confidence", "warnings"} <= set(body)
    assert body["payload"][0]["label"] == "positive"
    assert body["confidence"] == body["payload"][0]["score"]
    body = await post(api, "/ai/route-task", {"input": "Translate this into French"})
    assert body["detected_task"] == "translation"
    assert body["selected_provider"] == "embedded"
    body = await get(api, "/ai/providers")
    providers = {one["key"]: one for one in body["providers"]}
    assert body["total_providers"] == len(providers)
    assert providers["openai"]["hasApiKey"] is False
    assert "summarization" in providers["embedded"]["tasks"]


async def test_sentiment_and_code_need_a_token(api):
    for path in ("/ai/sentiment-analysis", "/ai/code-execution", "/models/classify"):
        body = await post(api, path, {}, status=401)
        assert body["error"] == "Unauthorized: No token provided."
    text = {"text": "What a terrible day."}
    body = await post(api, "/ai/sentiment-analysis", text, api.who)
    assert body["analysis"]["sentiment"] == "negative"
    assert body["analysis"]["valence"] < 0
    assert body["analysis"]["emotion"] is None


async def test_code_runs_in_the_sandbox(api):
    asked = {"code": "import socket\nprint(6 * 7)", "language": "python"}
    body = await post(api, "/ai/code-execution", asked, api.who)
    assert (body["success"], body["output"], body["error"]) == (True, "42\n", None)
    assert body["executionTime"] > 0
    body = await post(api, "/ai/code-execution", {"code": "1/0"}, api.who)
    assert body["success"] is False
    assert "ZeroDivisionError" in body["error"]
    wrong = {"code": "x", "language": "perl"}
    body = await post(api, "/ai/code-execution", wrong, api.who, 400)
    assert body["error"].startswith("Unsupported language")


async def test_models_are_real_ones(api):
    body = await get(api, "/models/catalog", api.who)
    found = {one["repo_id"]: one for one in body["data"]}
    assert body["count"] == len(found)
    assert set(found["gpt-4o"]) >= {
        "idx",
        "repo_id",
        "category",
        "approx_params",
        "primary_tasks",
        "serverless_candidate",
        "requires_endpoint",
        "notes",
        "cost_tier",
        "quality_score",
    }
    assert found["gpt-4o"]["quality_score"] == 0.9
    assert "openai_api_key" in found["gpt-4o"]["notes"]
    status = await get(api, "/models/status", api.who)
    assert status["providers"] == ["embedded"]
    asked = {"prompt": "Summarise the minutes"}
    body = await post(api, "/models/classify", asked, api.who)
    assert body["task"] == "summarization"
    assert len(body["shortlist"]) == 6
    body = await post(api, "/models/route", {"prompt": "What is 15% of 240?"}, api.who)
    assert body["result"]["output"] == "36 (calculator: 15/100*240)"
    assert body["result"]["model_id"] == "local/tool-router-1"


async def test_hugging_face_s_routes_take_json_and_forms(api):
    form = {
        "taskType": "zero-shot-classification",
        "text": "The night train leaves at ten.",
        "labels": "travel, food",
        "options": "{}",
    }
    files = {name: (None, value) for name, value in form.items()}
    answer = await api.http.post("/api/huggingface/inference", files=files, headers=api.who)
    body = answer.json()
    assert body["result"]["labels"][0] == "travel", body
    assert body["taskType"] == "zero-shot-classification"
    assert body["agent"] == "huggingface.text.zero_shot_classification"
    assert (await post(api, "/huggingface/inference", form, api.who))["result"] == body["result"]
    asked = {
        "taskType": "sentence-similarity",
        "sentences": ["When are refunds paid?", "Refunds take ten days.", "We are in Rome."],
    }
    near, far = (await post(api, "/huggingface/text", asked, api.who))["result"]
    assert near > far
    rows = {"data": [{"city": "Rome", "amount": 1}, {"city": "Oslo", "amount": 3}]}
    body = await post(api, "/huggingface/data", rows, api.who)
    assert body["result"]["rows"] == 2
    body = await post(api, "/huggingface/embeddings", {"texts": ["a", "b"]})
    assert (len(body["embeddings"]), body["dimensions"]) == (2, 384)
    asked = {"messages": [{"role": "user", "content": "What is 15% of 240?"}]}
    body = await post(api, "/huggingface/chat/completions", asked)
    assert body["response"]["choices"][0]["message"]["content"].startswith("36")
    picture = {"image": ("a.png", b"x", "image/png")}
    answer = await api.http.post("/api/huggingface/vision", files=picture, headers=api.who)
    assert answer.status_code == 501
    body = await get(api, "/huggingface/tasks")
    assert {"summarization", "ner", "qa"} <= set(body["data"]["availableTasks"])
    assert body["data"]["totalTasks"] == len(body["data"]["availableTasks"])
    assert (await get(api, "/huggingface/capabilities"))["data"]["totalAgents"] > 0


async def test_each_task_of_a_batch_has_a_verdict_of_its_own(api):
    tasks = [
        {"taskType": "sentiment-analysis", "text": "Wonderful!"},
        {"taskType": "ner", "text": "Ada"},
        {"taskType": "asr"},
        {"taskType": "dance"},
        "nothing",
    ]
    body = await post(api, "/huggingface/batch", {"tasks": tasks}, api.who)
    assert (body["totalTasks"], body["successfulTasks"], body["failedTasks"]) == (5, 1, 4)
    first, second, third, fourth, fifth = body["results"]
    assert first["result"][0]["label"] == "positive"
    assert second["reason"] == "MODEL_REQUIRED"
    assert third["error"] == "Not implemented yet"
    assert [fourth["success"], fifth["success"]] == [False, False]
    body = await post(api, "/huggingface/batch", {"tasks": tasks * 21}, api.who, 400)
    assert "100" in body["error"]


async def test_an_answer_from_documents_quotes_them_without_a_model(api):
    asked = {
        "query": "When are refunds paid?",
        "documentStore": ["Our office is in Rome.", {"id": 7, "text": "Refunds are paid in May."}],
        "generationModel": "meta-llama/Meta-Llama-3-8B-Instruct",
        "topKRetrieval": 20,
        "topKRerank": 8,
    }
    body = await post(api, "/huggingface/rag", asked, api.who)
    assert "Refunds are paid in May." in body["response"]
    assert body["citations"][0]["id"] == "7"
    assert body["generative"] is False
    body = await post(api, "/huggingface/rag", {"query": "x"}, api.who, 400)
    assert body["error"] == "documentStore is required"


async def test_only_administrators_clear_what_is_kept(api):
    await post(api, "/huggingface/clear-caches", {}, api.who, 403)
    body = await post(api, "/huggingface/clear-caches", {}, await api.admin())
    assert body["success"]
    assert isinstance(body["cleared"], int)


async def test_where_guests_may_not_come_in_a_token_is_needed():
    async with inferring(guests=False) as api:
        await post(api, "/unified/summarize", SUMMARY, status=401)
        await get(api, "/unified/health")
        await post(api, "/unified/summarize", SUMMARY, await api.user("bob@example.org"))


async def test_a_budget_that_is_used_up_is_told_as_v2_told_errors():
    budgets = Defaults({"user": Ceiling(1)})
    async with inferring(budgets=budgets) as api:
        who = await api.user("ada@example.org")
        body = await post(api, "/ai/sentiment-analysis", {"text": "Fine."}, who, 402)
    assert (body["success"], body["code"]) == (False, "INSUFFICIENT_BUDGET")
    assert "'user:" in body["message"]
