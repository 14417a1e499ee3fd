"""Tests of cartrita/providers/embedded/routing.py."""

import pytest

from cartrita.providers.embedded.intent import Open, Smalltalk, Tool, Unmet, Use
from cartrita.providers.embedded.routing import MOST_STEPS, plan, settled


def text_tool(name, argument):
    schema = {"properties": {argument: {"type": "string"}}, "required": [argument]}
    return Tool(name, "", schema)


CALCULATOR = text_tool("calculator", "expression")
MEMORY = text_tool("knowledge_query", "query")
CLOCK = Tool("getCurrentDateTime", "", {"properties": {"zone": {"type": "string"}}})
SUMMARIZE = text_tool("summarize", "text")
TOOLS = {tool.name: tool for tool in (CALCULATOR, MEMORY, CLOCK, SUMMARIZE)}


def tools_of(text):
    return [
        step.tool if isinstance(step, Use) else type(step).__name__ for step in plan(text, TOOLS)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is 15% of 240 and then what time is it?", ["calculator", "getCurrentDateTime"]),
        ("2+2 and what time is it in Tokyo?", ["calculator", "getCurrentDateTime"]),
        ("What is 2+2? What is 3+3?", ["calculator", "calculator"]),
        ("2+2; 3+3; hello", ["calculator", "calculator", "Smalltalk"]),
        ("What is 3.5 + 2?", ["calculator"]),
        ("2+2, then times 3", ["calculator", "calculator"]),
        ("What is 10/4 and write a poem", ["calculator", "Open"]),
        ("Where are bread and butter?", ["Open"]),
        ("Summarize: One. Two. Three and four.", ["summarize"]),
        ("", ["Smalltalk"]),
        ("?!", ["Smalltalk"]),
    ],
)
def test_each_request_of_a_message_is_looked_at(text, expected):
    assert tools_of(text) == expected


def test_what_follows_and_fits_nothing_is_not_first():
    assert plan("2+2 and then what about the weather", TOOLS)[1] == Open(
        "what about the weather", first=False
    )


def test_more_requests_than_are_read_are_reported_not_dropped():
    steps = plan("1+1; " * (MOST_STEPS + 2), TOOLS)
    assert [type(step) for step in steps] == [Use] * MOST_STEPS + [Unmet]
    assert steps[-1].clause == "1+1; 1+1"


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "unit", [" ", "\n", "; ", "and ", "please ", "(", "1,", "1 x ", "use ", "?"]
)
def test_no_message_takes_long_to_read(unit):
    plan(unit * (32_000 // len(unit)), TOOLS)
    plan(f"a{unit * (32_000 // len(unit))}b", TOOLS)


def test_a_first_question_goes_to_the_memory():
    step = Open("Where is my order?", first=True)
    assert settled(step, TOOLS) == Use(step.clause, "knowledge_query", {"query": step.clause})


@pytest.mark.parametrize(
    ("step", "tools"),
    [
        (Open("Where is my order?", first=False), TOOLS),
        (Open("Where is my order?", first=True), {}),
        (Open("Could you write a poem?", first=True), TOOLS),
        (Open("My dog is called Rex", first=True), TOOLS),
    ],
)
def test_everything_else_that_is_open_is_left_to_a_language_model(step, tools):
    made = settled(step, tools)
    assert isinstance(made, Unmet)
    assert made.needs_model


def test_what_a_rule_read_stays_as_it_is():
    step = Smalltalk("hello")
    assert settled(step, TOOLS) is step
