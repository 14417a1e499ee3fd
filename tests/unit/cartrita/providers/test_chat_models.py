"""Tests of cartrita/providers/chat_models.py."""

import pytest

from cartrita.errors import ModelRequired
from cartrita.providers.chat_models import chat_models

ROUTER = "local/tool-router-1"


@pytest.fixture
async def configured():
    models = chat_models(api_key="sk-test", default_model="gpt-4o-mini")
    yield models
    await models.close()


@pytest.mark.parametrize("name", [None, "auto", ROUTER])
def test_without_a_provider_the_tool_router_answers_and_costs_nothing(name):
    chat = chat_models().open(name, temperature=1.0)
    assert chat.info.model == ROUTER
    assert chat.usd(1_000, 1_000) == 0


def test_without_a_provider_no_other_model_can_be_named():
    with pytest.raises(ModelRequired, match=r"'gpt-4o'.*OPENAI_API_KEY"):
        chat_models().open("gpt-4o")


@pytest.mark.parametrize("name", [None, "auto"])
async def test_with_a_provider_its_default_answers(configured, name):
    assert configured.open(name).info.model == "gpt-4o-mini"


async def test_with_a_provider_any_of_its_models_can_be_named(configured):
    chat = configured.open("gpt-4")
    assert (chat.info.model, chat.info.provider, chat.info.generative) == ("gpt-4", "openai", True)


async def test_with_a_provider_the_tool_router_stays_and_other_local_names_are_unknown(configured):
    assert configured.open(ROUTER).info.provider == "embedded"
    with pytest.raises(ModelRequired, match="local/llama"):
        configured.open("local/llama")


async def test_an_address_alone_is_a_provider():
    models = chat_models(base_url="http://127.0.0.1:9/v1", default_model="llama3")
    assert models.open(None).info.model == "llama3"
    await models.close()
