"""Tests of actors/agents/chat.py."""

import subprocess
import sys

import pytest

from actors.agents.chat import LONGEST_OUTPUT, SYSTEM, Chat
from cartrita.clock import ManualClock
from cartrita.errors import InvalidParameters, ModelRequired
from cartrita.providers.chat_models import chat_models
from cartrita.providers.ports import ChatModels, Toolbox
from cartrita.testing import run_task
from tests.support import tools
from tests.support.scripted_model import ScriptedModels, called, said

CHAT = "langchain.chat.execute"
LONG = {"role": "user", "content": "x" * 31_000}


class LongTalker:
    """A toolbox with one tool that says too much."""

    def tools(self, ctx, agent, names=None, *, changing=False):
        from langchain_core.tools import tool

        @tool
        async def talk() -> str:
            """Talk."""
            return "x" * (LONGEST_OUTPUT + 1)

        return [talk]


async def chat(params, models=None, toolbox=None, **context):
    providers = {ChatModels: models or chat_models(), Toolbox: toolbox or tools.toolbox()}
    return (await run_task(Chat, CHAT, params, providers, **context)).to_wire()


async def test_the_example_runs_without_any_key():
    (spec,) = Chat.spec.tasks
    result = await chat(spec.example)
    assert result["message"] == "36 (calculator: 15/100*240)"
    assert (result["role"], result["model"]) == ("assistant", "local/tool-router-1")
    assert (result["provider"], result["generative"]) == ("embedded", False)
    assert result["limitations"]
    assert result["toolCalls"] == [
        {
            "tool": "calculator",
            "input": {"expression": "15/100*240"},
            "output": "36",
            "failed": False,
        }
    ]


async def test_the_metadata_are_those_of_the_contract():
    models = ScriptedModels(called("calculator", expression="6*7"), said("42.", 20, 8))
    result = await chat({"message": "6*7?"}, models, clock=ManualClock(1_700_000_000.0))
    assert result["metadata"] == {
        "model": "fake/writer",
        "timestamp": "2023-11-14T22:13:20.000+00:00",
        "tokens": 43,
        "toolsUsed": ["calculator"],
    }


async def test_a_model_that_writes_says_so():
    result = await chat({"message": "Hi"}, ScriptedModels(said("Hello.")))
    assert (result["message"], result["generative"]) == ("Hello.", True)
    assert "limitations" not in result
    assert result["toolCalls"] == []


async def test_an_open_request_without_a_model_is_refused_plainly_and_costs_nothing():
    usages, warnings = [], []
    result = await chat({"message": "Write a poem"}, usages=usages, warnings=warnings)
    assert result["message"].startswith("This request needs a language model")
    assert "OPENAI_API_KEY" in result["message"]
    assert sum(usage.usd for usage in usages) == 0
    assert warnings


async def test_the_history_and_the_instructions_reach_the_model_in_order():
    models = ScriptedModels(said("Oslo."))
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    await chat({"message": "Capital?", "history": history, "system": "One word."}, models)
    sent = [(message.type, message.text) for message in models.model.asked[0][0]]
    assert sent == [
        ("system", "One word."),
        ("human", "Hi"),
        ("ai", "Hello."),
        ("human", "Capital?"),
    ]


async def test_without_instructions_the_built_in_ones_hold():
    models = ScriptedModels(said("Hello."))
    await chat({"message": "Hi"}, models)
    assert models.model.asked[0][0][0].text == SYSTEM


async def test_model_and_temperature_are_the_caller_s_choice():
    models = ScriptedModels(said("Hello."))
    await chat({"message": "Hi", "model": "other", "temperature": 0.2}, models)
    assert models.opened == [("other", 0.2)]


async def test_a_model_nobody_serves_is_an_error_not_another_model():
    with pytest.raises(ModelRequired, match="OPENAI_API_KEY"):
        await chat({"message": "Hi", "model": "gpt-4o"})


async def test_long_outputs_of_tools_are_cut_in_the_result():
    result = await chat(
        {"message": "talk"}, ScriptedModels(called("talk"), said(".")), LongTalker()
    )
    assert len(result["toolCalls"][0]["output"]) == LONGEST_OUTPUT


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "message"),
        ({"message": " "}, "message"),
        ({"message": "x" * 32_001}, "message"),
        ({"message": "\ud800"}, "message"),
        ({"message": "x", "history": [{"role": "tool", "content": "x"}]}, "history.0.role"),
        ({"message": "x", "history": [{"role": "user", "content": "x"}] * 101}, "history"),
        ({"message": "x", "temperature": 3}, "temperature"),
        ({"message": "x", "temprature": 1}, "temprature"),
        (
            {"message": "x", "history": [{"role": "user", "content": "x" * 31_000}] * 2},
            "parameters",
        ),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(params, field):
    with pytest.raises(InvalidParameters) as caught:
        await chat(params)
    assert field in caught.value.fields[0].field


def test_importing_the_agents_loads_no_model_library():
    program = (
        "import sys, actors.agents.analytics, actors.agents.chat, actors.agents.translation\n"
        "heavy = ('langchain', 'langgraph', 'openai', 'torch', 'duckdb', 'sqlglot')\n"
        "loaded = [name for name in sys.modules if name.split('.')[0].startswith(heavy)]\n"
        "sys.exit(' '.join(loaded) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
