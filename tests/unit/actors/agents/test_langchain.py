"""Tests of actors/agents/langchain.py."""

import pytest

from actors.agents.langchain import AGENT, REACT, LangChain
from cartrita.clock import ManualClock
from cartrita.errors import AgentFailed, InvalidParameters, ModelRequired
from cartrita.providers.chat_models import chat_models
from cartrita.providers.ports import ChatModels, Toolbox
from cartrita.storage.memory_threads import InMemoryCheckpoints
from cartrita.storage.threads import Checkpoints
from cartrita.stream import ToolUse
from cartrita.testing import run_task
from tests.support.scripted_model import ScriptedModels, called, said
from tests.support.tools import toolbox

AGENT_TASK, REACT_TASK, WRITE_TASK = (
    f"langchain.{name}.execute" for name in ("agent", "react", "generative")
)
EXAMPLES = {spec.name: spec.example for spec in LangChain.spec.tasks}


async def run(task, params, models=None, checkpoints=None, **context):
    providers = {
        ChatModels: models or chat_models(),
        Toolbox: toolbox(),
        Checkpoints: checkpoints or InMemoryCheckpoints(),
    }
    return (await run_task(LangChain, task, params, providers, **context)).to_wire()


def sent(models, call=0):
    return [(message.type, message.text) for message in models.model.asked[call][0]]


class TestAgent:
    async def test_the_example_runs_without_any_key(self):
        result = await run(AGENT_TASK, EXAMPLES[AGENT_TASK])
        assert [(step["tool"], step["output"]) for step in result["intermediateSteps"]] == [
            ("calculator", "36")
        ]
        assert (result["model"], result["generative"]) == ("local/tool-router-1", False)

    async def test_the_result_is_that_of_the_contract(self):
        models = ScriptedModels(called("calculator", expression="6*7"), said("42.", 20, 8))
        clock = ManualClock(1_700_000_000.0)
        result = await run(AGENT_TASK, {"input": "6 times 7?"}, models, clock=clock)
        assert result["output"] == "42."
        assert result["intermediateSteps"] == [
            {"tool": "calculator", "input": {"expression": "6*7"}, "output": "42", "failed": False}
        ]
        assert result["metadata"] == {
            "model": "fake/writer",
            "timestamp": "2023-11-14T22:13:20.000+00:00",
            "tokens": 43,
            "toolsUsed": ["calculator"],
            "stepsCount": 1,
        }

    async def test_the_history_comes_before_the_input(self):
        models = ScriptedModels(said("Oslo."))
        history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
        await run(AGENT_TASK, {"input": "Capital?", "chatHistory": history}, models)
        assert sent(models) == [
            ("system", AGENT),
            ("human", "Hi"),
            ("ai", "Hello."),
            ("human", "Capital?"),
        ]

    async def test_only_the_tools_that_were_asked_for_are_offered(self):
        models = ScriptedModels(said("Hello."))
        await run(AGENT_TASK, {"input": "Hi", "tools": ["calculator"]}, models)
        assert models.model.asked[0][1]["tools"] == ["calculator"]
        with pytest.raises(InvalidParameters, match="no tool 'rm'"):
            await run(AGENT_TASK, {"input": "Hi", "tools": ["rm"]}, models)

    async def test_readers_of_the_task_see_which_tools_it_uses(self):
        models = ScriptedModels(called("calculator", expression="6*7"), said("42."))
        emitted = []
        await run(AGENT_TASK, {"input": "6*7?"}, models, emitted=emitted)
        assert emitted == [ToolUse("calculator", {"expression": "6*7"}, "42")]

    async def test_it_stops_after_as_many_calls_as_it_may_make(self):
        models = ScriptedModels(called("calculator", expression="1"))
        with pytest.raises(AgentFailed, match="within 3 calls"):
            await run(AGENT_TASK, {"input": "x", "maxIterations": 3}, models)
        assert len(models.model.asked) == 3

    async def test_nothing_is_left_of_work_that_ended(self):
        checkpoints = InMemoryCheckpoints()
        models = ScriptedModels(called("calculator", expression="6*7"), said("42."))
        await run(AGENT_TASK, {"input": "6*7?"}, models, checkpoints, task_id="t1")
        assert await checkpoints.list("t1", None, 10) == []

    async def test_another_attempt_goes_on_where_one_was_broken_off_and_pays_for_its_own(self):
        checkpoints, usages = InMemoryCheckpoints(), []
        broken = ScriptedModels(called("calculator", expression="6*7"), RuntimeError("died"))
        with pytest.raises(RuntimeError):
            await run(AGENT_TASK, {"input": "6*7?"}, broken, checkpoints, task_id="t1")
        models = ScriptedModels(said("42.", 20, 8))
        result = await run(
            AGENT_TASK, {"input": "6*7?"}, models, checkpoints, task_id="t1", usages=usages
        )
        assert result["output"] == "42."
        assert [step["output"] for step in result["intermediateSteps"]] == ["42"]
        assert len(models.model.asked) == 1
        assert sent(models)[-1] == ("tool", "42")
        assert sum(usage.tokens_in + usage.tokens_out for usage in usages) == 28

    async def test_a_retry_with_other_parameters_is_other_work(self):
        checkpoints = InMemoryCheckpoints()
        broken = ScriptedModels(called("calculator", expression="6*7"), RuntimeError("died"))
        with pytest.raises(RuntimeError):
            await run(AGENT_TASK, {"input": "old"}, broken, checkpoints, task_id="t1")
        models = ScriptedModels(said("Done."))
        await run(AGENT_TASK, {"input": "new"}, models, checkpoints, task_id="t1")
        assert sent(models)[-1] == ("human", "new")


class TestReact:
    async def test_the_example_runs_without_any_key(self):
        result = await run(REACT_TASK, EXAMPLES[REACT_TASK])
        assert result["answer"].startswith("42")
        assert (result["reasoning"], result["metadata"]["stepsCount"]) == ([], 1)

    async def test_the_reasoning_is_what_it_said_before_it_acted(self):
        think = called("calculator", expression="6*7")
        think.content = "I need the product."
        models = ScriptedModels(think, said("It is 42."))
        result = await run(REACT_TASK, {"question": "6*7?", "context": "A riddle."}, models)
        assert result["reasoning"] == ["I need the product."]
        assert [action["tool"] for action in result["actions"]] == ["calculator"]
        assert result["answer"] == "It is 42."
        assert sent(models)[:3] == [
            ("system", REACT),
            ("human", "Context:\nA riddle."),
            ("human", "6*7?"),
        ]


class TestGenerative:
    async def test_without_a_language_model_it_says_what_to_set(self):
        with pytest.raises(ModelRequired, match="OPENAI_API_KEY"):
            await run(WRITE_TASK, EXAMPLES[WRITE_TASK])

    async def test_it_writes_within_the_given_length(self):
        models = ScriptedModels(said("Light."))
        result = await run(WRITE_TASK, {"prompt": "One word", "maxTokens": 20}, models)
        assert (result["text"], result["generative"]) == ("Light.", True)
        assert models.model.asked[0][1]["max_tokens"] == 20
        assert "tools" not in models.model.asked[0][1]


@pytest.mark.parametrize(
    ("task", "params", "field"),
    [
        (AGENT_TASK, {}, "input"),
        (AGENT_TASK, {"input": "x" * 32_001}, "input"),
        (AGENT_TASK, {"input": "x", "maxIterations": 0}, "maxIterations"),
        (AGENT_TASK, {"input": "x", "history": []}, "history"),
        (
            AGENT_TASK,
            {"input": "x", "chatHistory": [{"role": "user", "content": "x" * 31_000}] * 2},
            "parameters",
        ),
        (REACT_TASK, {"question": " "}, "question"),
        (WRITE_TASK, {"prompt": "x", "maxTokens": 1}, "maxTokens"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(task, params, field):
    with pytest.raises(InvalidParameters) as caught:
        await run(task, params)
    assert field in caught.value.fields[0].field
