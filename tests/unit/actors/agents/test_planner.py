"""Tests of actors/agents/planner.py and cartrita/agency/steps.py."""

from decimal import Decimal

import pytest

from actors.agents.planner import Planner
from cartrita.agency.steps import MOST_LISTED, read_steps
from cartrita.errors import AgentFailed, InsufficientBudget, InvalidParameters, ModelRequired
from cartrita.protocol.task import Budget
from cartrita.providers.chat_models import chat_models
from cartrita.providers.ports import ChatModels, Toolbox
from cartrita.storage.memory_threads import InMemoryCheckpoints
from cartrita.storage.threads import Checkpoints
from cartrita.stream import Progress, ToolUse
from cartrita.testing import run_task
from tests.support.scripted_model import ScriptedModels, called, said
from tests.support.tools import toolbox

PLAN, LOOP = "langchain.plan_execute", "langchain.babyagi.execute"
EXAMPLES = {spec.name: spec.example for spec in Planner.spec.tasks}


async def run(task, params, models=None, checkpoints=None, **context):
    providers = {
        ChatModels: models or chat_models(),
        Toolbox: toolbox(),
        Checkpoints: checkpoints or InMemoryCheckpoints(),
    }
    return (await run_task(Planner, task, params, providers, **context)).to_wire()


class TestPlan:
    async def test_the_example_runs_without_any_key_as_it_brings_its_plan(self):
        result = await run(PLAN, EXAMPLES[PLAN])
        assert result["plan"] == EXAMPLES[PLAN]["steps"]
        assert [step["toolCalls"][0]["output"] for step in result["steps"]] == ["59.7", "47.76"]
        assert "59.7" in result["output"]
        assert "47.76" in result["output"]
        assert result["generative"] is False

    async def test_without_a_plan_and_a_language_model_it_says_what_to_set(self):
        with pytest.raises(ModelRequired, match="Making a plan"):
            await run(PLAN, {"objective": "Rule the world"})

    async def test_a_model_plans_carries_out_and_concludes(self):
        models = ScriptedModels(
            said('["Multiply", "Halve"]', 10, 5),
            called("calculator", expression="6*7"),
            said("42", 10, 5),
            said("21", 10, 5),
            said("It is 21.", 10, 5),
        )
        emitted, usages = [], []
        result = await run(
            PLAN, {"objective": "Half of 6*7"}, models, emitted=emitted, usages=usages
        )
        assert result["output"] == "It is 21."
        assert [(step["step"], step["output"]) for step in result["steps"]] == [
            ("Multiply", "42"),
            ("Halve", "21"),
        ]
        assert result["metadata"]["toolsUsed"] == ["calculator"]
        assert result["metadata"]["tokens"] == 75
        assert len(usages) == 5
        assert emitted == [
            Progress(0.0, "Multiply"),
            ToolUse("calculator", {"expression": "6*7"}, "42"),
            Progress(1 / 6, "Halve"),
        ]

    async def test_each_step_sees_what_was_found_before(self):
        models = ScriptedModels(said("found it"))
        await run(PLAN, {"objective": "Look", "steps": ["One", "Two"]}, models)
        second = [message.text for message in models.model.asked[1][0]]
        assert "Step: One\nResult: found it" in second[1]
        assert second[-1] == "Two"

    async def test_steps_that_ended_are_not_done_and_paid_again(self):
        checkpoints, usages = InMemoryCheckpoints(), []
        params = {"objective": "Look", "steps": ["One", "Two", "Three"]}
        broken = ScriptedModels(said("first"), said("second"), RuntimeError("died"))
        with pytest.raises(RuntimeError):
            await run(PLAN, params, broken, checkpoints, task_id="t1")
        models = ScriptedModels(said("third"), said("All three."))
        result = await run(PLAN, params, models, checkpoints, task_id="t1", usages=usages)
        assert [step["output"] for step in result["steps"]] == ["first", "second", "third"]
        assert models.model.asked[0][0][-1].text == "Three"
        assert len(models.model.asked) == 2
        assert len(usages) == 2
        assert sum(usage.usd for usage in usages) == 2 * Decimal("0.0002")
        assert await checkpoints.list("t1", None, 10) == []

    async def test_another_task_does_not_go_on_with_it(self):
        checkpoints = InMemoryCheckpoints()
        params = {"objective": "Look", "steps": ["One", "Two"]}
        with pytest.raises(RuntimeError):
            await run(
                PLAN, params, ScriptedModels(said("first"), RuntimeError("died")), checkpoints
            )
        models = ScriptedModels(said("anew"))
        result = await run(PLAN, params, models, checkpoints)
        assert result["steps"][0]["output"] == "anew"

    async def test_it_never_spends_more_than_the_budget_over_all_its_steps(self):
        usages = []
        models = ScriptedModels(said("x", 400, 16))
        with pytest.raises(InsufficientBudget):
            await run(
                PLAN,
                {"objective": "Look", "steps": ["Go"] * 12},
                models,
                budget=Budget(max_tokens=3_000),
                usages=usages,
            )
        assert 1 < len(usages) < 12
        assert sum(usage.tokens_in + usage.tokens_out for usage in usages) <= 3_000


class TestLoop:
    async def test_without_a_language_model_it_says_what_to_set(self):
        with pytest.raises(ModelRequired, match="OPENAI_API_KEY"):
            await run(LOOP, EXAMPLES[LOOP])

    async def test_tasks_are_made_from_what_was_found_until_there_are_none(self):
        models = ScriptedModels(
            said("It is copper."),
            said('["Find the price", "Find the weight"]'),
            said("9000"),
            said("[]"),
            said("A ton costs 9000."),
        )
        result = await run(LOOP, {"objective": "Price"}, models)
        assert [item["step"] for item in result["completed"]] == [
            "Make a list of what has to be done.",
            "Find the price",
        ]
        assert (result["output"], result["finished"]) == ("A ton costs 9000.", "done")
        assert (result["iterations"], result["remaining"]) == (2, [])
        asked = models.model.asked[3][0][-1].text
        assert asked.endswith("Still on the list: Find the weight")

    async def test_it_ends_after_as_many_rounds_as_it_may_take_and_tells_what_is_left(self):
        models = ScriptedModels(
            said("one"), said('["A", "B", "C"]'), said("two"), said("So far two.")
        )
        result = await run(LOOP, {"objective": "Go", "maxIterations": 2}, models)
        assert (result["finished"], result["iterations"]) == ("limit", 2)
        assert result["remaining"] == ["B", "C"]
        assert result["output"] == "So far two."

    async def test_tasks_that_ended_are_not_done_again(self):
        checkpoints = InMemoryCheckpoints()
        broken = ScriptedModels(said("one"), said('["A"]'), RuntimeError("died"))
        with pytest.raises(RuntimeError):
            await run(LOOP, {"objective": "Go"}, broken, checkpoints, task_id="t1")
        models = ScriptedModels(said("two"), said("[]"), said("Done."))
        result = await run(LOOP, {"objective": "Go"}, models, checkpoints, task_id="t1")
        assert [item["output"] for item in result["completed"]] == ["one", "two"]
        assert models.model.asked[0][0][-1].text == "A"


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ('["a", "b"]', ["a", "b"]),
        ('Here you are:\n```json\n["a",\n "b"]\n```', ["a", "b"]),
        ("1. First\n2) Second\n- Third", ["First", "Second", "Third"]),
        ("[see below]\n1. First", ["First"]),
        ('[" a ", "", 3]', ["a"]),
        ("[]", []),
    ],
)
def test_steps_are_read_from_what_models_write(text, steps):
    assert read_steps(text) == steps


def test_a_text_without_steps_is_no_plan():
    with pytest.raises(AgentFailed, match="listed no steps"):
        read_steps("I would rather not.")


def test_a_list_without_end_is_cut():
    assert len(read_steps("\n".join(f"- step {n}" for n in range(99)))) == MOST_LISTED


@pytest.mark.parametrize(
    ("task", "params", "field"),
    [
        (PLAN, {"steps": ["x"]}, "objective"),
        (PLAN, {"objective": "x", "steps": []}, "steps"),
        (PLAN, {"objective": "x", "steps": [" "]}, "steps.0"),
        (PLAN, {"objective": "x", "steps": ["x"] * 13}, "steps"),
        (LOOP, {"objective": "x", "maxIterations": 13}, "maxIterations"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(task, params, field):
    with pytest.raises(InvalidParameters) as caught:
        await run(task, params)
    assert field in caught.value.fields[0].field
