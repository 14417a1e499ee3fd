"""Tests of actors/agents/planner.py and cartrita/agency/steps.py."""

from decimal import Decimal

import pytest

from actors.agents.planner import Planner
from cartrita.agency.steps import MOST_LISTED, read_steps
from cartrita.errors import AgentFailed, InsufficientBudget, InvalidParameters, ModelRequired
from cartrita.protocol.task import Budget
from cartrita.providers.chat_models import chat_models
from cartrita.providers.ports import ChatModels, Toolbox
from cartrita.providers.ports_planning import Planning
from cartrita.storage.memory_threads import InMemoryCheckpoints
from cartrita.storage.threads import Checkpoints
from cartrita.stream import Progress, ToolUse
from cartrita.testing import run_task
from tests.support.scripted_model import ScriptedModels, called, said
from tests.support.tools import toolbox

PLAN, LOOP = "langchain.plan_execute", "langchain.babyagi.execute"
EXAMPLES = {spec.name: spec.example for spec in Planner.spec.tasks}


async def run(task, params, models=None, checkpoints=None, replans=2, **context):
    providers = {
        Planning: Planning(replans),
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
        assert result["plans"] == [{"steps": ["Multiply", "Halve"], "because": ""}]
        assert emitted == [
            Progress(None, "Plan 1: Multiply; Halve"),
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


class TestReplanning:
    async def test_a_step_that_fails_has_the_rest_of_the_plan_made_anew(self):
        models = ScriptedModels(
            said('["Ask the moon", "Write it down"]'),
            said("FAILED: the moon is silent."),
            said('["Ask the sun"]'),
            said("It shines."),
            said("It shines, says the sun."),
        )
        emitted = []
        result = await run(PLAN, {"objective": "Ask"}, models, emitted=emitted)
        assert result["output"] == "It shines, says the sun."
        assert [(step["step"], step["failed"]) for step in result["steps"]] == [
            ("Ask the moon", True), ("Ask the sun", False),
        ]  # fmt: skip
        because = "'Ask the moon' failed: the moon is silent."
        assert result["plans"] == [
            {"steps": ["Ask the moon", "Write it down"], "because": ""},
            {"steps": ["Ask the sun"], "because": because},
        ]
        assert Progress(None, f"Plan 2 ({because}): Ask the sun") in emitted
        told = models.model.asked[2][0][-1].text
        assert "Failed: the moon is silent." in told
        assert told.endswith("The plan had these steps left: Write it down")

    async def test_a_model_that_comes_to_no_answer_has_failed_a_step(self):
        models = ScriptedModels(said(""), said('["Two"]'), said("two"), said("Two it is."))
        result = await run(PLAN, {"objective": "Go", "steps": ["One"]}, models)
        assert [step["failed"] for step in result["steps"]] == [True, False]
        assert result["output"] == "Two it is."

    async def test_it_is_changed_no_oftener_than_the_settings_say(self):
        models = ScriptedModels(
            said("one"), said("FAILED: no"), said('["Again", "Then"]'), said("FAILED: never"),
            said("then"), said("Not all of it."),
        )  # fmt: skip
        warnings = []
        params = {"objective": "Go", "steps": ["One", "Two"]}
        result = await run(PLAN, params, models, replans=1, warnings=warnings)
        assert [step["output"] for step in result["steps"]] == ["one", "no", "never", "then"]
        assert len(result["plans"]) == 2
        assert warnings == ["2 of 4 steps failed; see what each came to."]

    async def test_where_no_step_could_be_carried_out_the_task_fails_and_says_why(self):
        models = ScriptedModels(said("FAILED: there is no such thing"), said("[]"))
        checkpoints, params = InMemoryCheckpoints(), {"objective": "Go", "steps": ["One"]}
        with pytest.raises(AgentFailed, match="no such thing"):
            await run(PLAN, params, models, checkpoints, task_id="t1")
        models = ScriptedModels(said("Now there is."), said("It went."))
        assert (await run(PLAN, params, models, checkpoints, root="t1"))["output"] == "It went."

    async def test_a_model_that_makes_no_other_plan_leaves_it_as_it_is(self):
        models = ScriptedModels(
            said("FAILED: no"), said("I would rather not."), said("two"), said("Two it is.")
        )
        result = await run(PLAN, {"objective": "Go", "steps": ["One", "Two"]}, models)
        assert [plan["steps"] for plan in result["plans"]] == [["One", "Two"], ["Two"]]
        assert result["output"] == "Two it is."

    async def test_another_attempt_goes_on_with_the_new_plan(self):
        checkpoints = InMemoryCheckpoints()
        params = {"objective": "Go", "steps": ["One", "Two"]}
        broken = ScriptedModels(
            said("one"), said("FAILED: no"), said('["Three"]'), RuntimeError("died")
        )
        with pytest.raises(RuntimeError):
            await run(PLAN, params, broken, checkpoints, task_id="t1")
        models = ScriptedModels(said("three"), said("Done."))
        result = await run(PLAN, params, models, checkpoints, task_id="t1")
        assert [step["step"] for step in result["steps"]] == ["One", "Two", "Three"]
        assert [plan["steps"] for plan in result["plans"]] == [["One", "Two"], ["Three"]]

    async def test_changing_plans_is_paid_from_the_same_budget(self):
        usages = []
        models = ScriptedModels(said("FAILED: no", 400, 16), said('["Next"]', 400, 16))
        models.model.script[:] = [step for _ in range(20) for step in models.model.script]
        with pytest.raises(InsufficientBudget):
            await run(
                PLAN, {"objective": "Go", "steps": ["One"] * 6}, models, replans=10,
                budget=Budget(max_tokens=3_000), usages=usages,
            )  # fmt: skip
        assert sum(usage.tokens_in + usage.tokens_out for usage in usages) <= 3_000

    async def test_without_a_language_model_a_plan_is_as_it_was_given(self):
        result = await run(PLAN, EXAMPLES[PLAN])
        assert [plan["steps"] for plan in result["plans"]] == [EXAMPLES[PLAN]["steps"]]


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
