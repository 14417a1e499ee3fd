"""Tests of cartrita/providers/openai_compatible.py: what it opens.

How it talks is tested in tests/integration/test_openai_compatible.py.
"""

from decimal import Decimal

import pytest

from cartrita.errors import ModelRequired
from cartrita.providers.openai_compatible import MOST_OPEN, OpenAiChatModels


@pytest.fixture
async def models():
    models = OpenAiChatModels("sk-test", organization="org-1", timeout=7.0)
    yield models
    await models.close()


async def test_a_model_comes_with_its_price(models):
    chat = models.open("gpt-4o-mini")
    assert (chat.price_in, chat.price_out) == (Decimal("0.00015"), Decimal("0.0006"))


async def test_the_same_model_is_opened_once_per_temperature(models):
    opened = models.open("gpt-4o").model
    assert models.open("gpt-4o").model is opened
    assert models.open(None).model is opened
    assert models.open("gpt-4o", temperature=0.5).model is not opened


async def test_however_many_are_named_only_so_many_are_kept(models):
    for number in range(MOST_OPEN + 1):
        models.open("gpt-4o", temperature=number / 100)
    assert len(models._open) == MOST_OPEN


async def test_a_built_in_name_is_not_sent_to_a_provider(models):
    with pytest.raises(ModelRequired, match="local/tool-router-1"):
        models.open("local/tool-router-1")


async def test_settings_reach_the_client_and_nothing_else_does(models, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-other")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/other")
    model = models.open("gpt-4o", temperature=0.3).model
    client = model.root_async_client
    assert (client.api_key, client.organization) == ("sk-test", "org-1")
    assert (client.timeout.read, client.max_retries) == (7.0, 0)
    assert str(client.base_url) == "https://api.openai.com/v1/"
    assert (model.temperature, model.stream_usage, model.cache) == (0.3, True, False)
