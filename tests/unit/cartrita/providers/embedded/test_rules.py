"""Tests of cartrita/providers/embedded/rules.py."""

import pytest

from cartrita.providers.embedded.intent import Smalltalk, Tool, Unmet, Use
from cartrita.providers.embedded.rules import LONGEST_CLAUSE, Clause, about_text, named, read


def text_tool(name, argument, *, required=True):
    schema = {"properties": {argument: {"type": "string"}}}
    return Tool(name, "", schema | {"required": [argument] if required else []})


TOOLS = {
    tool.name: tool
    for tool in (
        text_tool("calculator", "expression"),
        text_tool("getCurrentDateTime", "zone", required=False),
        text_tool("knowledge_query", "query"),
        text_tool("summarize", "text"),
        text_tool("sentiment", "text"),
        Tool("lookup_order", "", {"properties": {"id": {"type": "integer"}}, "required": ["id"]}),
    )
}


def clause(text, before=None, tools=TOOLS):
    return Clause(text, before, tools)


@pytest.mark.parametrize(
    ("text", "tool", "args"),
    [
        ("What is 15% of 240?", "calculator", {"expression": "15/100*240"}),
        ("please tell me what is 2+2", "calculator", {"expression": "2+2"}),
        ("What time is it?", "getCurrentDateTime", {"zone": "UTC"}),
        ("what's the time in Tokyo now", "getCurrentDateTime", {"zone": "Asia/Tokyo"}),
        ("Can you tell me today's date?", "getCurrentDateTime", {"zone": "UTC"}),
        ("what day of the week is it", "getCurrentDateTime", {"zone": "UTC"}),
        ("What do you remember about my dog?", "knowledge_query", {"query": "my dog"}),
        ("search my notes for the wifi key", "knowledge_query", {"query": "the wifi key"}),
        ("find the wifi key in my notes", "knowledge_query", {"query": "the wifi key"}),
        ("use lookup order 17", "lookup_order", {"id": 17}),
        ("lookup_order(17)", "lookup_order", {"id": 17}),
        ("Use the calculator with (1+2)*3.", "calculator", {"expression": "(1+2)*3"}),
        ("calculator: sqrt(2)", "calculator", {"expression": "sqrt(2)"}),
    ],
)
def test_a_plain_command_is_read(text, tool, args):
    assert read(clause(text)) == Use(text, tool, args)


@pytest.mark.parametrize(
    "text",
    [
        "what time does the store open?",
        "how many days off do I get each month",
        "write a poem about time",
        "is there a calculator in the drawer",
        "My order number is 17.",
        "x" * (LONGEST_CLAUSE + 1),
    ],
)
def test_what_only_sounds_like_a_command_is_not(text):
    assert read(clause(text)) is None


@pytest.mark.parametrize("text", ["Hello!", "Good morning", "thanks", "What can you do?", "help"])
def test_greetings_and_questions_about_abilities_are_small_talk(text):
    assert read(clause(text)) == Smalltalk(text)


def test_a_place_without_a_time_zone_is_asked_about():
    step = read(clause("What time is it in Atlantis?"))
    assert isinstance(step, Unmet)
    assert "'atlantis'" in step.why


def test_a_sum_goes_on_only_from_a_sum():
    before = Use("2+2", "calculator", {"expression": "2+2"})
    step = read(clause("times 3", before))
    assert step == Use("times 3", "calculator", {"expression": "(2+2)*3"})
    assert read(clause("times 3", Use("now", "getCurrentDateTime", {}))) is None


@pytest.mark.parametrize("text", ["2+2", "what time is it", "recall my dog"])
def test_a_tool_that_was_not_offered_is_not_used(text):
    assert read(clause(text, tools={})) is None


def test_a_text_that_comes_with_a_request_is_not_cut_up():
    text = "Summarize this: One thing. Then another; and a third?"
    assert about_text(text, TOOLS) == Use(
        text, "summarize", {"text": "One thing. Then another; and a third?"}
    )
    text = "What is the sentiment of this review:\nI love it. Really."
    assert about_text(text, TOOLS) == Use(text, "sentiment", {"text": "I love it. Really."})


def test_a_long_text_needs_no_colon_and_a_short_one_is_asked_for():
    long = "word " * 40
    assert isinstance(about_text(f"summarize {long}", TOOLS), Use)
    assert isinstance(about_text("summarize the news", TOOLS), Unmet)
    assert about_text("the summary is short", TOOLS) is None


def test_a_named_tool_gets_what_follows_its_name():
    assert named("Please use the knowledge query tool for red shoes", TOOLS) == Use(
        "Please use the knowledge query tool for red shoes",
        "knowledge_query",
        {"query": "red shoes"},
    )


@pytest.mark.parametrize(
    ("text", "asks", "creative"),
    [
        ("Where is my order?", True, False),
        ("how do refunds work", True, False),
        ("Tell me a joke", False, True),
        ("Could you explain gravity?", True, True),
        ("My dog is called Rex", False, False),
    ],
)
def test_questions_and_wishes_for_text_are_told_apart(text, asks, creative):
    assert (clause(text).asks, clause(text).creative) == (asks, creative)
