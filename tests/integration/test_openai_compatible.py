"""Tests of cartrita/providers/openai_compatible.py and its users, over real sockets."""

import asyncio
from decimal import Decimal

import pytest

from actors.agents.chat import Chat
from actors.agents.translation import Translation
from cartrita.agency.sessions import Sessions
from cartrita.clock import SystemClock
from cartrita.errors import (
    AgentFailed,
    ConfigurationInvalid,
    InsufficientBudget,
    ModelRequired,
    NetworkFailed,
    ResourceLimitExceeded,
    TaskTimeout,
)
from cartrita.protocol.task import Budget, Preferences
from cartrita.providers.chat_models import chat_models
from cartrita.providers.openai_compatible import OpenAiChatModels
from cartrita.providers.ports import ChatModels, Toolbox
from cartrita.providers.ports_huggingface import HuggingFace
from cartrita.telemetry.log import about
from cartrita.testing import run_task
from tests.support.hugging import NOTHING
from tests.support.openai_server import Call, Cut, Fail, Hang, Say, serving
from tests.support.tools import sessions, toolbox

CHAT = "langchain.chat.execute"


class Installation:
    """A configured provider, and what tasks reported."""

    def __init__(self, server, **settings):
        settings = {"api_key": "sk-test", "default_model": "gpt-4o", "timeout": 10.0} | settings
        self.models = chat_models(base_url=server.base_url, **settings)
        self.usages = []
        self.warnings = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        await self.models.close()

    async def run(self, agent, task, params, **context):
        providers = {
            ChatModels: self.models,
            Toolbox: toolbox(),
            Sessions: sessions(),
            HuggingFace: NOTHING,
        }
        seen = {"usages": self.usages, "warnings": self.warnings}
        return (await run_task(agent, task, params, providers, **(seen | context))).to_wire()

    async def chat(self, message="Hello", **context):
        return await self.run(Chat, CHAT, {"message": message}, **context)


async def test_an_answer_carries_the_provider_s_exact_usage_and_its_price():
    async with (
        serving(Say("Hello to you.", tokens=(120, 40))) as server,
        Installation(server) as here,
    ):
        result = await here.chat()
    assert result["message"] == "Hello to you."
    assert result["metadata"]["tokens"] == 160
    assert (result["model"], result["provider"], result["generative"]) == ("gpt-4o", "openai", True)
    (usage,) = here.usages
    assert (usage.tokens_in, usage.tokens_out) == (120, 40)
    assert usage.usd == Decimal("0.0012")  # 120 at 0.005 and 40 at 0.015 per thousand
    assert server.keys == ["bearer sk-test"]
    assert server.requests[0]["max_tokens"] == 4096


@pytest.mark.parametrize("streaming", [False, True])
async def test_the_provider_is_told_which_trace_a_call_belongs_to(streaming):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with serving(Say("Hi.")) as server, Installation(server) as installation:
        about(trace, "a task")
        await installation.chat(preferences=Preferences(streaming=streaming))
        assert server.seen[0].headers["traceparent"] == trace


async def test_the_conversation_and_the_settings_reach_the_provider_as_given():
    async with serving(Say("Oslo.")) as server, Installation(server) as here:
        params = {
            "message": "And of Norway?",
            "history": [
                {"role": "user", "content": "Capital of Italy?"},
                {"role": "assistant", "content": "Rome."},
            ],
            "system": "One word.",
            "model": "gpt-4o-mini",
            "temperature": 0.3,
        }
        result = await here.run(Chat, CHAT, params)
    sent = server.requests[0]
    assert [(item["role"], item["content"]) for item in sent["messages"]] == [
        ("system", "One word."),
        ("user", "Capital of Italy?"),
        ("assistant", "Rome."),
        ("user", "And of Norway?"),
    ]
    assert (sent["model"], sent["temperature"]) == ("gpt-4o-mini", 0.3)
    assert here.usages[0].usd == Decimal("0.000009")  # 20 at 0.00015 and 10 at 0.0006
    assert result["model"] == "gpt-4o-mini"


async def test_a_tool_call_is_run_and_its_result_goes_back_to_the_model():
    steps = Call("calculator", {"expression": "6*7"}, tokens=(50, 8)), Say("42.", tokens=(70, 3))
    async with serving(*steps) as server, Installation(server) as here:
        result = await here.chat("What is 6 times 7?")
    assert result["message"] == "42."
    assert result["toolCalls"] == [
        {"tool": "calculator", "input": {"expression": "6*7"}, "output": "42", "failed": False}
    ]
    assert result["metadata"]["toolsUsed"] == ["calculator"]
    assert result["metadata"]["tokens"] == 131
    assert [usage.tokens_in for usage in here.usages] == [50, 70]
    names = [tool["function"]["name"] for tool in server.requests[0]["tools"]]
    assert names == ["calculator", "getCurrentDateTime", "timezone_converter"]
    assert server.requests[1]["messages"][-1]["content"] == "42"


async def test_a_streamed_answer_ends_with_its_usage_and_joins_tool_calls():
    steps = Say("Good morning to you", tokens=(9, 4)), Call("calculator", {"expression": "1+1"})
    async with serving(*steps) as server:
        models = OpenAiChatModels("sk-test", server.base_url)
        model = models.open("gpt-4o").model
        pieces = [piece async for piece in model.astream("Hello")]
        whole = None
        async for piece in model.astream("1+1"):
            whole = piece if whole is None else whole + piece
        await models.close()
    assert "".join(piece.text for piece in pieces) == "Good morning to you"
    assert sum((piece.usage_metadata or {}).get("total_tokens", 0) for piece in pieces) == 13
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [
        ("calculator", {"expression": "1+1"})
    ]
    assert server.requests[0]["stream_options"] == {"include_usage": True}


async def test_a_busy_provider_is_asked_again():
    steps = Fail(503, headers={"retry-after": "0.01"}), Say("Now I can.")
    async with serving(*steps) as server, Installation(server) as here:
        result = await here.chat()
    assert result["message"] == "Now I can."
    assert len(server.requests) == 2
    assert len(here.usages) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_provider_that_stays_busy_is_a_retryable_network_failure(status):
    busy = Fail(status, headers={"retry-after": "0.01"})
    async with serving(busy, busy) as server, Installation(server) as here:
        with pytest.raises(NetworkFailed, match=str(status)) as caught:
            await here.chat()
    assert caught.value.retryable
    assert caught.value.retry_after == 0.01


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        (Fail(401, "Incorrect API key provided: sk-te*t"), ConfigurationInvalid, "OPENAI_API_KEY"),
        (Fail(403), ConfigurationInvalid, "OPENAI_API_KEY"),
        (Fail(404, code="model_not_found"), ModelRequired, "'gpt-4o'"),
        (Fail(400, "bad", code="context_length_exceeded"), ResourceLimitExceeded, "too long"),
        (Fail(400, "no such parameter"), AgentFailed, "no such parameter"),
    ],
)
async def test_a_refusal_says_what_to_do_and_is_not_repeated(failure, kind, words):
    async with serving(failure) as server, Installation(server) as here:
        with pytest.raises(kind, match=words) as caught:
            await here.chat()
    assert not caught.value.retryable
    assert "sk-te" not in caught.value.message
    assert here.usages == []


async def test_an_account_without_credit_is_not_asked_again_and_again():
    steps = [Fail(429, code="insufficient_quota", headers={"retry-after": "0.01"})]
    async with serving(*steps) as server, Installation(server) as here:
        with pytest.raises(ConfigurationInvalid, match="no credit"):
            await here.chat()


async def test_a_connection_that_breaks_off_is_a_network_failure():
    async with serving(Cut(), Cut()) as server, Installation(server) as here:
        with pytest.raises(NetworkFailed, match="hung up"):
            await here.chat()


async def test_a_stream_that_breaks_off_is_a_network_failure():
    async with serving(Cut()) as server:
        models = OpenAiChatModels("sk-test", server.base_url)
        with pytest.raises(NetworkFailed, match="hung up"):
            async for _ in models.open(None).model.astream("Hello"):
                pass
        await models.close()


async def test_a_provider_that_nobody_listens_for_is_a_network_failure():
    async with serving() as server:
        pass
    async with Installation(server) as here:
        with pytest.raises(NetworkFailed, match="OPENAI_BASE_URL"):
            await here.chat()


async def test_a_provider_that_hangs_ends_with_the_task_s_deadline():
    async with serving(Hang()) as server, Installation(server) as here:
        with pytest.raises(TaskTimeout):
            await here.chat(deadline=SystemClock().monotonic() + 1.0)
        await asyncio.wait_for(server.left.wait(), 5.0)


async def test_a_provider_slower_than_one_call_may_take_is_a_network_failure():
    async with serving(Hang(), Hang()) as server, Installation(server, timeout=0.1) as here:
        with pytest.raises(NetworkFailed, match="in time"):
            await here.chat()


async def test_cancelling_closes_the_connection_within_a_second():
    async with serving(Hang()) as server, Installation(server) as here:
        task = asyncio.create_task(here.chat())
        await asyncio.wait_for(server.asked.wait(), 10.0)
        task.cancel()
        async with asyncio.timeout(1.0):
            await server.left.wait()
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_what_was_used_before_a_failure_is_still_metered():
    steps = Call("calculator", {"expression": "1+1"}, tokens=(50, 8)), Fail(400)
    async with serving(*steps) as server, Installation(server) as here:
        with pytest.raises(AgentFailed):
            await here.chat()
    assert [(usage.tokens_in, usage.tokens_out) for usage in here.usages] == [(50, 8)]


async def test_the_answer_is_limited_to_what_the_budget_still_allows():
    async with serving(Say("Short.")) as server, Installation(server) as here:
        await here.chat(budget=Budget(max_usd=0.005))
    assert 16 <= server.requests[0]["max_tokens"] < 333  # all of it would buy 333 at 0.015


async def test_a_prompt_over_the_budget_never_leaves():
    async with serving() as server, Installation(server) as here:
        with pytest.raises(InsufficientBudget, match="ceiling"):
            await here.chat("word " * 2000, budget=Budget(max_tokens=500))
    assert server.requests == []


async def test_a_server_that_reports_no_usage_is_estimated_with_a_warning():
    async with serving(Say("Hi.", tokens=None)) as server, Installation(server) as here:
        await here.chat()
    assert here.usages[0].tokens_in > 0
    assert any("estimate" in warning for warning in here.warnings)


async def test_a_refusal_of_the_model_is_its_message_and_a_warning():
    async with serving(Say("", refusal="I will not.")) as server, Installation(server) as here:
        result = await here.chat()
    assert result["message"] == "I will not."
    assert here.warnings


async def test_a_key_is_optional_for_a_server_of_one_s_own():
    async with serving(Say("Hi.")) as server, Installation(server, api_key=None) as here:
        assert (await here.chat())["message"] == "Hi."


async def test_built_in_models_stay_within_reach_beside_a_provider():
    async with serving() as server, Installation(server) as here:
        params = {"message": "2+2", "model": "local/tool-router-1"}
        assert (await here.run(Chat, CHAT, params))["message"] == "4 (calculator: 2+2)"
        with pytest.raises(ModelRequired, match="local/unheard-of"):
            await here.run(Chat, CHAT, params | {"model": "local/unheard-of"})


async def test_a_translation_is_the_model_s_and_says_so():
    async with serving(Say("Bonjour")) as server, Installation(server) as here:
        result = await here.run(Translation, "huggingface.text.translation", {"text": "Hello"})
    assert result["text"] == "Bonjour"
    assert (result["sourceLanguage"], result["targetLanguage"]) == ("en", "fr")
    assert (result["provider"], result["generative"]) == ("openai", True)
    system, user = server.requests[0]["messages"]
    assert "from en to fr" in system["content"]
    assert user["content"] == "Hello"
    assert "tools" not in server.requests[0]


async def test_generation_honours_its_options():
    params = {"text": "Once", "options": {"maxNewTokens": 7, "temperature": 0.9}}
    async with (
        serving(Say(" upon a time", finish="length")) as server,
        Installation(server) as here,
    ):
        result = await here.run(Translation, "huggingface.text.generation", params)
    assert result["text"] == " upon a time"
    assert (server.requests[0]["max_tokens"], server.requests[0]["temperature"]) == (7, 0.9)
    assert any("cut off" in warning for warning in here.warnings)
