"""Tests of cartrita/providers/langchain_models.py.

The packages of other providers are not installed here: a module stands in for one.
"""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from cartrita.context import Context
from cartrita.conversation import Said, converse
from cartrita.cost.price import metered
from cartrita.errors import (
    AgentFailed,
    ConfigurationInvalid,
    MissingExtra,
    ModelRequired,
    NetworkFailed,
)
from cartrita.providers.langchain_models import PACKAGES, LangChainModels, provider_of, typed_for

SECRET = "gsk-very-secret"


class Overloaded(Exception):
    """As SDKs make them: with a status and a response."""

    def __init__(self, status, **headers):
        super().__init__(f"status {status} {SECRET}")
        self.status_code = status
        self.response = SimpleNamespace(status_code=status, headers=headers)


class ChatGroq(BaseChatModel):
    """What LangChain's package has by this name, as far as it is used here."""

    model: str = ""
    api_key: str = ""
    timeout: float = 0.0
    max_retries: int = 9
    temperature: float | None = None
    failure: Exception | None = None

    @property
    def _llm_type(self):
        return "groq"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        if self.failure:
            raise self.failure
        return ChatResult(generations=[ChatGeneration(message=AIMessage("Hello."))])


@pytest.fixture
def groq(monkeypatch):
    module = ModuleType("langchain_groq")
    module.ChatGroq = ChatGroq
    monkeypatch.setitem(sys.modules, "langchain_groq", module)
    from langchain.chat_models import base

    base._get_chat_model_creator.cache_clear()
    yield LangChainModels({"groq": SECRET}, timeout=7.0)
    base._get_chat_model_creator.cache_clear()


def test_a_name_that_begins_with_a_known_provider_belongs_to_it():
    assert provider_of("anthropic:claude-3-haiku") == "anthropic"
    assert provider_of("llama3:8b") is None
    assert provider_of("gpt-4o") is None


def test_a_provider_without_its_package_says_what_to_install():
    models = LangChainModels({"mistralai": SECRET})
    with pytest.raises(MissingExtra, match="pip install langchain-mistralai") as caught:
        models.open("mistralai:mistral-small")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("provider", sorted(PACKAGES))
def test_a_provider_without_a_key_says_how_to_give_one(provider):
    with pytest.raises(ModelRequired, match=rf"models\.{provider}_api_key.*_API_KEY_FILE"):
        LangChainModels({}).open(f"{provider}:m")


def test_the_settings_reach_the_model(groq):
    chat = groq.open("groq:llama-3.1-8b", temperature=0.3)
    assert (chat.info.model, chat.info.provider) == ("groq:llama-3.1-8b", "groq")
    model = chat.model
    assert (model.model, model.api_key, model.temperature) == ("llama-3.1-8b", SECRET, 0.3)
    assert (model.timeout, model.max_retries, model.cache) == (7.0, 0, False)
    assert groq.open("groq:llama-3.1-8b", temperature=0.3) is chat


async def test_it_answers_in_a_conversation(groq):
    ctx = Context("t")
    chat = groq.open("groq:m")
    reply = await converse(chat, [Said("user", "Hi")], [], ctx, metered("1", 10_000))
    assert (reply.text, reply.info.model) == ("Hello.", "groq:m")


async def test_its_exceptions_become_ours_and_tell_no_key(groq):
    chat = groq.open("groq:m")
    chat.model.failure = Overloaded(401)
    with pytest.raises(ConfigurationInvalid, match=r"models\.groq_api_key") as caught:
        await converse(chat, [Said("user", "Hi")], [], Context("t"), metered("1", 10_000))
    assert SECRET not in caught.value.message


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Overloaded(401), ConfigurationInvalid),
        (Overloaded(404), ModelRequired),
        (Overloaded(400), AgentFailed),
        (Overloaded(503), NetworkFailed),
        (Overloaded(529), NetworkFailed),
        (ConnectionError("gone"), NetworkFailed),
        (TimeoutError(), NetworkFailed),
        (
            type("APITimeoutError", (type("APIConnectionError", (Exception,), {}),), {})(),
            NetworkFailed,
        ),
    ],
)
def test_an_exception_is_known_by_its_status_or_its_kind(error, kind):
    assert isinstance(typed_for("m", "models.x")(error), kind)


def test_too_many_requests_says_when_to_come_again():
    found = typed_for("m", "models.x")(Overloaded(429, **{"retry-after": "3"}))
    assert (found.reason, found.retry_after) == ("PROVIDER_BUSY", 3.0)
    later = typed_for("m", "models.x")(Overloaded(429, **{"retry-after": "Fri, 1 Jan"}))
    assert later.retry_after is None


def test_a_defect_of_ours_is_not_the_provider_s():
    assert typed_for("m", "models.x")(KeyError("x")) is None
