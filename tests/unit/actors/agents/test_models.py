"""Tests of actors/agents/models.py."""

import pytest

from actors.agents.models import Models
from cartrita.config.huggingface import Embeddings, HuggingFace
from cartrita.config.routing import Routing
from cartrita.config.sections import Models as ModelSettings
from cartrita.config.settings import Settings
from cartrita.errors import InvalidParameters
from cartrita.openers.offer import open_offer
from cartrita.protocol.principal import Principal, Role
from cartrita.providers.offer import Offer
from cartrita.testing import run_task

ADA = Principal("ada", "tenant-a", frozenset({Role.USER}))


async def run(task, params, folder, **tables):
    offer = open_offer(Settings(home=folder, **tables))
    return (await run_task(Models, task, params, {Offer: offer}, principal=ADA)).to_wire()


def by_name(result, field="models"):
    return {one["name"]: one for one in result[field]}


async def test_without_settings_what_is_built_in_is_there_and_the_rest_says_what_it_needs(
    tmp_path,
):
    result = await run("models.catalog", {}, tmp_path)
    found = by_name(result)
    assert found["local/tool-router-1"]["default"]
    assert found["local/minilm-extractive"]["kinds"] == ["summarization"]
    assert found["local/minilm-extractive"]["costTier"] == "free"
    assert all(one["available"] for one in found.values() if one["provider"] == "embedded")
    gpt, claude = found["gpt-4o"], found["anthropic:claude-3-haiku"]
    assert (gpt["available"], claude["available"]) == (False, False)
    assert "openai_api_key" in gpt["needs"]
    assert claude["needs"] == "models.anthropic_api_key"
    assert (gpt["usdIn"], gpt["costTier"], claude["costTier"]) == (0.005, "medium", "low")
    assert [one["index"] for one in result["models"]] == list(range(len(found)))
    assert {one["key"] for one in result["providers"] if one["configured"]} == {"embedded"}


async def test_what_makes_vectors_is_not_asked_to_write(tmp_path):
    vectors = "text-embedding-3-small"
    found = by_name(await run("models.catalog", {}, tmp_path))[vectors]
    assert found["kinds"] == ["feature-extraction", "sentence-similarity"]
    assert (found["available"], found["usdIn"], found["default"]) == (False, 0.00002, False)
    assert vectors not in by_name(await run("models.catalog", {"kind": "chat"}, tmp_path))
    tables = {"embeddings": Embeddings(provider="openai")}
    able = {"availableOnly": True, "kind": "feature-extraction"}
    theirs = by_name(await run("models.catalog", able, tmp_path, **tables))
    assert theirs[vectors]["default"]


async def test_models_that_nobody_may_ask_come_last(tmp_path):
    listed = (await run("models.shortlist", {"prompt": "Summarise."}, tmp_path))["shortlist"]
    assert [one["name"] for one in listed if one["available"]] == ["local/tool-router-1"]
    assert listed[0]["available"]


async def test_a_key_makes_its_provider_s_models_available(tmp_path):
    tables = {"models": ModelSettings(anthropic_api_key="k", chat_model="anthropic:claude-3-opus")}
    found = by_name(await run("models.catalog", {"kind": "chat"}, tmp_path, **tables))
    assert found["anthropic:claude-3-opus"]["default"]
    assert found["anthropic:claude-3-haiku"]["available"]
    assert not found["gpt-4o"]["available"]
    assert not found["local/tool-router-1"]["default"]


async def test_of_a_compatible_server_only_the_named_models_are_known_to_be_there(tmp_path):
    models = ModelSettings(openai_base_url="http://127.0.0.1:1/v1", chat_model="llama3")
    tables = {"models": models, "routing": Routing(fallbacks=("qwen2",))}
    params = {"kind": "chat", "availableOnly": True}
    found = by_name(await run("models.catalog", params, tmp_path, **tables))
    assert set(found) == {"llama3", "qwen2", "local/tool-router-1"}
    assert "costTier" not in found["llama3"]


async def test_models_in_the_folder_are_listed_with_what_the_settings_have_them_do(tmp_path):
    for name in ("bart", "org/other"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text("{}")
    chosen = HuggingFace(path=tmp_path, summarization="bart", translation="org/far")
    found = by_name(await run("models.catalog", {}, tmp_path, huggingface=chosen))
    assert (found["bart"]["kinds"], found["bart"]["default"]) == (["summarization"], True)
    assert (found["org/other"]["kinds"], found["org/other"]["available"]) == ([], True)
    assert (found["org/far"]["available"], "huggingface.path" in found["org/far"]["needs"]) == (
        False,
        True,
    )
    assert not found["local/minilm-extractive"]["default"]


async def test_a_request_gets_the_models_that_suit_it(tmp_path):
    tables = {"models": ModelSettings(openai_api_key="k")}
    prompt = "Prove step by step why this algorithm is correct, and compare it. ```f```"
    hard = await run("models.shortlist", {"prompt": prompt, "most": 2}, tmp_path, **tables)
    easy = await run("models.shortlist", {"prompt": "Summarise this."}, tmp_path, **tables)
    assert (hard["purpose"], easy["purpose"]) == ("code", "summarization")
    assert easy["matched"] == "Summarise"
    assert len(hard["shortlist"]) == 2
    assert hard["shortlist"][0]["quality"] >= easy["shortlist"][0]["quality"]
    assert all(one["available"] for one in hard["shortlist"])


async def test_without_a_provider_the_built_in_router_is_the_one_that_answers(tmp_path):
    result = await run("models.shortlist", {"prompt": "Hello"}, tmp_path)
    assert result["shortlist"][0]["name"] == "local/tool-router-1"
    assert (result["purpose"], "matched" in result) == ("chat", False)


async def test_a_request_that_says_nothing_is_refused(tmp_path):
    with pytest.raises(InvalidParameters):
        await run("models.shortlist", {"prompt": " "}, tmp_path)
