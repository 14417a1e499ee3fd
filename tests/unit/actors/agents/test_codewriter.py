"""Tests of actors/agents/codewriter.py; what is run, is run in the real sandbox."""

import pytest

from actors.agents.codewriter import CodeWriter
from cartrita.errors import AgentFailed, InvalidParameters, ModelRequired, SandboxUnavailable
from cartrita.providers.chat_models import chat_models
from cartrita.providers.ports import ChatModels
from cartrita.providers.ports_code import Workshop
from cartrita.providers.workshop.bench import Bench
from cartrita.testing import run_task
from tests.support.openai_server import Say, serving
from tests.support.scripted_model import ScriptedModels, said
from tests.support.workshop import fenced, workshop

FUNCTION, CLASS = "codewriter.generate.function", "codewriter.generate.class"
ADD = "def add(a, b):\n    return a + b"
WRONG = "def add(a, b):\n    return a - b"
TESTS = (
    "import unittest\nfrom solution import add\n\nclass AddTest(unittest.TestCase):\n"
    "    def test_adds(self):\n        self.assertEqual(add(2, 3), 5)"
)
ASKED = {"description": "Add two numbers", "language": "python"}


async def run(task, params, *answers, bench=None, **context):
    models = ScriptedModels(*(said(answer) for answer in answers)) if answers else chat_models()
    providers = {ChatModels: models, Workshop: bench or workshop()}
    result = (await run_task(CodeWriter, task, params, providers, **context)).to_wire()
    return result, models.model if answers else None


async def test_a_function_is_written_analysed_and_its_tests_are_run():
    measures, warnings = {}, []
    result, model = await run(
        FUNCTION, ASKED, fenced(ADD, TESTS), measures=measures, warnings=warnings
    )
    assert result["code"].strip() == ADD
    assert result["linesOfCode"] == measures["linesOfCode"] == 2
    assert result["analysis"] == {
        "analysed": True,
        "by": ["python ast", "ruff"],
        "parses": True,
        "remarks": [],
    }
    tests = result["tests"]
    assert (tests["ran"], tests["passed"], tests["failed"]) == (True, 1, 0)
    assert "test_adds" in tests["output"]
    assert (result["generative"], result["repaired"], warnings) == (True, False, [])
    assert len(model.asked) == 1


async def test_what_fails_its_tests_is_corrected_once():
    result, model = await run(FUNCTION, ASKED, fenced(WRONG, TESTS), fenced(ADD, TESTS))
    assert (result["repaired"], result["tests"]["passed"], result["tests"]["failed"]) == (
        True,
        1,
        0,
    )
    told = model.asked[1][0][-1].text
    assert "The tests do not pass" in told
    assert "AssertionError: -1 != 5" in told


async def test_what_still_fails_is_returned_with_a_warning():
    warnings = []
    result, model = await run(FUNCTION, ASKED, fenced(WRONG, TESTS), warnings=warnings)
    assert len(model.asked) == 2
    assert (result["repaired"], result["tests"]["failed"]) == (False, 1)
    assert warnings == ["Not all tests pass (1 failed); see `tests.output`."]


async def test_what_does_not_parse_is_corrected_or_refused():
    result, model = await run(FUNCTION, ASKED | {"tests": False}, fenced("def add(a"), fenced(ADD))
    assert result["repaired"]
    assert "does not parse: line 1" in model.asked[1][0][-1].text
    with pytest.raises(AgentFailed, match="does not parse") as refused:
        await run(FUNCTION, ASKED | {"tests": False}, fenced("def add(a"))
    assert refused.value.reason == "QUALITY_REJECTED"


@pytest.mark.parametrize("answer", ["Sure, here it is.", fenced(ADD), fenced(ADD, TESTS, ADD)])
async def test_an_answer_in_another_form_is_asked_for_again_and_then_refused(answer):
    result, _ = await run(FUNCTION, ASKED, answer, fenced(ADD, TESTS))
    assert result["tests"]["passed"] == 1
    with pytest.raises(AgentFailed, match="fenced code blocks in place of 2"):
        await run(FUNCTION, ASKED, answer)


async def test_a_repair_that_the_budget_does_not_allow_is_left_out():
    warnings = []
    budget = {"max_tokens": 1400}
    from cartrita.protocol.task import Budget

    models = ScriptedModels(said(fenced(WRONG, TESTS), 900, 400), said("never"))
    result = await run_task(
        CodeWriter,
        FUNCTION,
        ASKED,
        {ChatModels: models, Workshop: workshop()},
        budget=Budget(**budget),
        warnings=warnings,
    )
    assert result.tests.failed == 1
    assert "too little of the budget" in warnings[0]


async def test_javascript_is_written_and_tested_with_node():
    code = "export const add = (a, b) => a + b;"
    tests = (
        "import test from 'node:test';\nimport assert from 'node:assert/strict';\n"
        "import { add } from './solution.mjs';\ntest('adds', () => assert.equal(add(2, 3), 5));"
    )
    result, _ = await run(FUNCTION, {"description": "Add"}, fenced(code, tests))
    assert result["language"] == "javascript"
    assert result["analysis"]["by"] == ["node --check"]
    assert result["tests"]["passed"] == 1


async def test_a_language_that_nothing_reads_is_said_not_to_be_analysed():
    warnings = []
    asked = {"description": "Add", "language": "Rust"}
    result, _ = await run(FUNCTION, asked, fenced("fn add() {}"), warnings=warnings)
    assert result["analysis"]["analysed"] is False
    assert "tests" not in result
    assert warnings == ["The code was not analysed: Nothing here analyses rust."]


async def test_what_a_model_changes_is_shown_as_a_diff():
    asked = {"code": WRONG, "language": "python", "errorMessages": ["-1 is not 5"]}
    result, model = await run("codewriter.fix.bugs", asked, fenced(ADD))
    assert "-    return a - b\n+    return a + b" in result["changes"]
    assert "Error messages: -1 is not 5" in model.asked[0][0][-1].text


async def test_tests_that_a_model_writes_are_run_against_the_code_given():
    asked = {"code": ADD, "language": "python"}
    result, _ = await run("codewriter.add.tests", asked, fenced(TESTS))
    assert result["code"] == ADD
    assert (result["tests"]["passed"], result["tests"]["framework"]) == (1, "unittest")


async def test_tests_of_a_framework_that_is_not_here_are_written_and_not_run():
    warnings = []
    asked = {"code": "export const a = 1;", "testFramework": "jest"}
    result, _ = await run(
        "codewriter.add.tests", asked, fenced("test('a', () => {})"), warnings=warnings
    )
    assert result["tests"]["ran"] is False
    assert warnings == ["The tests were not run: Tests of jest for javascript cannot be run here."]


async def test_without_a_sandbox_code_is_written_and_analysed_and_nothing_is_run():
    class Without:
        languages = ("python",)

        async def run(self, program, timeout):
            raise SandboxUnavailable("install bubblewrap")

    warnings = []
    result, _ = await run(
        FUNCTION, ASKED, fenced(ADD, TESTS), bench=Bench(Without()), warnings=warnings
    )
    assert result["analysis"]["parses"] is True
    assert result["tests"]["ran"] is False
    assert warnings == ["The tests were not run: install bubblewrap"]


async def test_a_model_that_declines_fails_the_task():
    models = ScriptedModels(said("", additional_kwargs={"refusal": "I will not."}))
    with pytest.raises(AgentFailed, match="declined: I will not"):
        await run_task(CodeWriter, FUNCTION, ASKED, {ChatModels: models, Workshop: workshop()})


@pytest.mark.parametrize("spec", CodeWriter.spec.tasks, ids=lambda spec: spec.name)
async def test_every_task_is_done_by_a_model_behind_openais_protocol(spec):
    answers = {
        "codewriter.add.tests": fenced(TESTS),
        FUNCTION: fenced(ADD, TESTS),
        CLASS: fenced(ADD, TESTS),
        "codewriter.generate": fenced(ADD, TESTS),
    }
    usages = []
    params = spec.example | ({"code": ADD} if "code" in spec.example else {})
    async with serving(Say(answers.get(spec.name, fenced(ADD)), tokens=(70, 30))) as server:
        models = chat_models(api_key="sk-test", base_url=server.base_url)
        providers = {ChatModels: models, Workshop: workshop()}
        result = await run_task(CodeWriter, spec.name, params, providers, usages=usages)
        await models.close()
    assert result.code.strip() == ADD
    assert (result.generative, result.analysis.parses) == (True, True)
    assert [(usage.tokens_in, usage.tokens_out) for usage in usages] == [(70, 30)]
    if spec.name in answers:
        assert (result.tests.ran, result.tests.passed, result.tests.failed) == (True, 1, 0)


# --- without a model


async def test_a_sample_becomes_a_class_whose_tests_are_run():
    asked = {
        "description": "A lamp",
        "language": "python",
        "name": "Lamp",
        "sample": {"title": "Sun", "watts": 4.5, "tags": ["a"]},
    }
    result, _ = await run("codewriter.generate", asked)
    assert "@dataclass\nclass Lamp:" in result["code"]
    assert (result["model"], result["generative"]) == ("local/code-templates", False)
    assert (result["tests"]["passed"], result["tests"]["failed"]) == (2, 0)


async def test_fixed_rules_change_python_and_show_how():
    example = {spec.name: spec.example for spec in CodeWriter.spec.tasks}
    for name, after in (
        ("codewriter.refactor.code", "import sys\n\nprint(sys.argv)\n"),
        ("codewriter.optimize.performance", "names = list(people)\n"),
    ):
        result, _ = await run(name, example[name])
        assert result["code"] == after
        assert result["changes"].startswith("--- before\n+++ after\n")
        assert result["model"] == "local/ruff-fixes"


async def test_interface_tests_and_examples_of_docstrings_are_run():
    code = 'def half(n):\n    """Halve.\n\n    >>> half(4)\n    2.0\n    """\n    return n / 2\n'
    result, _ = await run("codewriter.add.tests", {"code": code, "language": "python"})
    assert (result["tests"]["passed"], result["tests"]["failed"]) == (2, 0)
    wrong, _ = await run(
        "codewriter.add.tests", {"code": code.replace("2.0", "3.0"), "language": "python"}
    )
    assert (wrong["tests"]["passed"], wrong["tests"]["failed"]) == (1, 1)


async def test_docstrings_repeat_what_signatures_say():
    asked = {"code": "def to_text(n: int) -> str:\n    return str(n)\n", "language": "python"}
    result, _ = await run("codewriter.document.code", asked)
    assert '"""To text.' in result["code"]
    assert "n (int):" in result["code"]
    assert result["limitations"]


@pytest.mark.parametrize(
    ("task", "params"),
    [
        (FUNCTION, ASKED),
        ("codewriter.generate", ASKED),
        (CLASS, {"description": "A shop", "methods": ["open"], "language": "python"}),
        (CLASS, {"description": "A shop", "properties": ["a"], "language": "rust"}),
        ("codewriter.refactor.code", {"code": "let a = 1;"}),
        ("codewriter.fix.bugs", {"code": ADD + "\n", "language": "python"}),
        ("codewriter.optimize.performance", {"code": ADD + "\n", "language": "python"}),
        ("codewriter.add.tests", {"code": "let a = 1;"}),
        ("codewriter.add.tests", {"code": "a = 1", "language": "python"}),
        ("codewriter.document.code", {"code": "let a = 1;"}),
        ("codewriter.document.code", {"code": ADD, "language": "python", "docStyle": "NumPy"}),
    ],
)
async def test_what_needs_a_model_says_so_without_one(task, params):
    with pytest.raises(ModelRequired, match="OPENAI_API_KEY, or OPENAI_BASE_URL"):
        await run(task, params)


@pytest.mark.parametrize("answers", [(), (fenced(ADD),)])
async def test_code_that_cannot_be_read_is_refused_by_its_line(answers):
    for task in ("refactor.code", "optimize.performance", "add.tests", "document.code"):
        with pytest.raises(InvalidParameters, match="line 1 is no python"):
            await run(f"codewriter.{task}", {"code": "def f(:", "language": "python"}, *answers)


async def test_code_that_cannot_be_read_can_be_corrected_by_a_model_only():
    asked = {"code": "def add(a, b:\n    return a + b", "language": "python"}
    result, _ = await run("codewriter.fix.bugs", asked, fenced(ADD))
    assert result["code"].strip() == ADD
    with pytest.raises(ModelRequired):
        await run("codewriter.fix.bugs", asked)


@pytest.mark.parametrize("spec", CodeWriter.spec.tasks, ids=lambda spec: spec.name)
async def test_every_example_runs_without_a_model_or_names_one(spec):
    if spec.name == FUNCTION:
        with pytest.raises(ModelRequired):
            await run(spec.name, spec.example)
    else:
        result, _ = await run(spec.name, spec.example)
        assert result["analysis"]["parses"] is True


@pytest.mark.parametrize("spec", CodeWriter.spec.tasks, ids=lambda spec: spec.name)
async def test_prices_are_those_of_the_catalogue_with_room_for_tokens(spec):
    prices = {
        "codewriter.generate": "0.025",
        FUNCTION: "0.015",
        CLASS: "0.025",
        "codewriter.refactor.code": "0.02",
        "codewriter.fix.bugs": "0.018",
        "codewriter.optimize.performance": "0.022",
        "codewriter.add.tests": "0.02",
        "codewriter.document.code": "0.012",
    }
    assert str(spec.cost.usd) == prices[spec.name]
    assert spec.cost.max_tokens > 0
