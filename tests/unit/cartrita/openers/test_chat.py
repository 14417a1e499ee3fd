"""Tests of cartrita/openers/chat.py: that settings reach the choice of models."""

import pytest

from cartrita.config.load import load_settings
from cartrita.errors import ConfigurationInvalid, MissingExtra, ModelRequired
from cartrita.openers.chat import open_chat_models
from cartrita.openers.guarded import open_flow
from cartrita.protocol.task import Preferences
from cartrita.providers.lane import ProviderLane
from cartrita.providers.ports_chat import Demand
from cartrita.storage.memory_circuits import InMemoryCircuits
from cartrita.storage.valkey_circuits import ValkeyCircuits

SECRET = "sk-very-secret"
OPENAI = {"OPENAI_API_KEY": SECRET}


@pytest.fixture
async def opened(tmp_path):
    """Open chat models by variables, and close them in the end."""
    made = []

    def open_with(**variables):
        settings = load_settings({}, {"HOME": str(tmp_path), **variables}, tmp_path)
        flow = open_flow(settings)
        made.extend([open_chat_models(settings, None, flow), flow])
        return made[-2]

    yield open_with
    for models in made:
        if hasattr(models, "close"):
            await models.close()


def names(chat, **demand):
    return [candidate.chat.info.model for candidate in chat.candidates(Demand(**demand))]


def test_without_a_key_the_built_in_model_answers(opened):
    assert opened().open(None).info.provider == "embedded"


def test_fallbacks_thresholds_and_the_preset_are_the_settings(opened):
    models = opened(
        **OPENAI,
        CARTRITA_ROUTING__FALLBACKS="gpt-4,gpt-3.5-turbo",
        CARTRITA_ROUTING__PRESSURE_WARNING="0.3",
        CARTRITA_ROUTING__PRESET="cost-first",
        CARTRITA_ROUTING__HEDGE_AFTER_S="2.5",
    )
    chat = models.open(None)
    assert names(chat)[:3] == ["gpt-4o", "gpt-4", "gpt-3.5-turbo"]
    assert names(chat, pressure=0.3)[0] == "gpt-4o-mini"
    best = Preferences(quality_level="best")
    assert names(models.open("auto"), preferences=best)[0] == "gpt-3.5-turbo"
    candidate = chat.candidates(Demand())[0].chat
    assert candidate.hedge_after == 2.5
    assert isinstance(candidate.lane, ProviderLane)


def test_a_key_in_a_file_opens_another_provider(opened, tmp_path):
    (tmp_path / "key").write_text(f"{SECRET}\n")
    models = opened(
        CARTRITA_MODELS__MISTRALAI_API_KEY_FILE=str(tmp_path / "key"),
        CARTRITA_MODELS__CHAT_MODEL="mistralai:mistral-small",
    )
    with pytest.raises(MissingExtra, match="pip install langchain-mistralai") as caught:
        models.open(None)
    assert SECRET not in str(caught.value)


def test_a_key_for_one_provider_opens_no_model_of_another(opened):
    models = opened(ANTHROPIC_API_KEY=SECRET)
    with pytest.raises(ModelRequired, match=r"models\.chat_model"):
        models.open(None)
    with pytest.raises(ModelRequired, match=r"models\.groq_api_key"):
        models.open("groq:llama")


def test_a_fallback_that_cannot_be_opened_is_left_out(opened):
    models = opened(**OPENAI, CARTRITA_ROUTING__FALLBACKS="groq:llama,gpt-4o-mini")
    assert names(models.open(None)) == ["gpt-4o", "gpt-4o-mini"]
    assert names(models.open("auto"))[0] in {"gpt-4o", "gpt-4o-mini"}


def test_models_of_one_provider_share_its_throttle_and_nothing_else(opened):
    models = opened(**OPENAI)
    big, small = (models.open(name).lane for name in ("gpt-4o", "gpt-4o-mini"))
    assert big is not small
    assert big._throttle is small._throttle
    assert models.open("openai:gpt-4o").lane is big


def test_circuits_are_shared_where_there_is_a_valkey(opened):
    assert isinstance(opened(**OPENAI).open(None).lane._circuits, InMemoryCircuits)
    shared = opened(**OPENAI, CARTRITA_REDIS__URL="redis://127.0.0.1:1/0")
    assert isinstance(shared.open(None).lane._circuits, ValkeyCircuits)


def test_nothing_that_is_shown_of_a_model_tells_the_key(opened):
    chat = opened(**OPENAI).open(None)
    assert SECRET not in repr(chat)
    assert SECRET not in str(chat.model)


def test_thresholds_that_fall_are_refused(opened):
    with pytest.raises(ConfigurationInvalid, match="pressure_critical"):
        opened(CARTRITA_ROUTING__PRESSURE_CRITICAL="0.5")
