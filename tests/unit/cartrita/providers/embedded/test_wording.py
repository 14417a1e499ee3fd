"""Tests of cartrita/providers/embedded/wording.py."""

from cartrita.providers.embedded.intent import (
    NOTHING_FOUND,
    Outcome,
    Smalltalk,
    Tool,
    Unmet,
    Use,
)
from cartrita.providers.embedded.wording import REFUSAL, answer, greeting, needs_model

TOOLS = {"calculator": Tool("calculator", "Evaluate arithmetic. And more.")}
SUM = Use("2+2", "calculator", {"expression": "2+2"})
POEM = Unmet("write a poem", "that is a language model's work", needs_model=True)


def test_a_result_stands_with_its_tool_and_input():
    assert answer([SUM], {0: Outcome("4")}, TOOLS) == "4 (calculator: 2+2)"


def test_several_results_are_numbered():
    text = answer([SUM, SUM], {0: Outcome("4"), 1: Outcome("4")}, TOOLS)
    assert text == "1. 4 (calculator: 2+2)\n2. 4 (calculator: 2+2)"


def test_a_failure_is_not_done_and_says_why():
    text = answer([SUM], {0: Outcome("division by zero", failed=True)}, TOOLS)
    assert text == "Not done: division by zero. (calculator: 2+2)"


def test_a_tool_that_gave_no_answer_is_not_done():
    assert answer([SUM], {}, TOOLS).startswith("Not done: the tool gave no answer.")


def test_long_inputs_are_cut():
    text = answer([Use("x", "t", {"text": "long " * 50})], {0: Outcome("ok")}, {})
    assert "…)" in text
    assert len(text) < 100


def test_arguments_that_are_no_text_and_none_at_all_are_shown():
    assert answer([Use("x", "t", {"id": 17})], {0: Outcome("ok")}, {}) == "ok (t: 17)"
    assert answer([Use("x", "t", {})], {0: Outcome("ok")}, {}) == "ok (t)"


def test_a_lone_open_request_is_refused_plainly_with_what_would_help():
    text = answer([POEM], {}, TOOLS)
    assert text.startswith("This request needs a language model")
    assert "OPENAI_API_KEY" in text
    assert "- calculator: Evaluate arithmetic." in text


def test_among_others_an_open_request_is_reported_as_not_done():
    text = answer([SUM, POEM], {0: Outcome("4")}, TOOLS)
    assert "2. Not done: 'write a poem'" in text
    assert REFUSAL in text


def test_a_question_that_needs_an_argument_needs_no_model():
    step = Unmet("summarize this", "`summarize` needs `text`")
    assert answer([step], {}, TOOLS) == "Not done: 'summarize this': `summarize` needs `text`."
    assert not needs_model([step], {})


def test_a_memory_that_found_nothing_leaves_the_question_to_a_model():
    step = Use("Where?", "knowledge_query", {"query": "Where?"})
    outcomes = {0: Outcome(NOTHING_FOUND)}
    assert needs_model([step], outcomes)
    assert answer([step], outcomes, TOOLS).startswith(NOTHING_FOUND)


def test_a_greeting_says_what_this_is_and_what_it_can_do():
    text = answer([Smalltalk("hello")], {}, TOOLS)
    assert text == greeting(TOOLS)
    assert "not a language model" in text
    assert "`calculator: …`" in text


def test_a_greeting_before_a_request_is_not_counted_as_one():
    assert answer([Smalltalk("hello"), SUM], {1: Outcome("4")}, TOOLS) == "4 (calculator: 2+2)"


def test_without_tools_there_is_nothing_to_offer():
    assert "no tools" in greeting({})
