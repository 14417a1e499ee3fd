"""What attempts used, as it is journaled."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.channel.frames import pack, unpack
from cartrita.context import ToolRun, Usage
from cartrita.journal import USED_PLACE, Event, EventKind
from cartrita.uses import MODEL, TOOL, Used, brief, provider_of, told, uses


def test_a_call_of_a_model_is_told_in_whole_billionths_of_a_dollar():
    use = Usage("m", 10, 5, Decimal("0.000125"), seconds=1.5)
    assert told(use) == [
        MODEL,
        {
            "model": "m",
            "tokensIn": 10,
            "tokensOut": 5,
            "nanoUsd": 125_000,
            "durationMs": 1500.0,
            "failed": False,
        },
    ]


def test_a_run_of_a_tool_is_told_with_the_beginning_of_its_answer():
    kind, data = told(ToolRun("search", {"query": "actors"}, "x" * 10_000, 0.25, failed=True))
    assert kind == TOOL
    assert data["input"] == {"query": "actors"}
    assert data["output"] == "x" * 2000 + "…"
    assert (data["durationMs"], data["failed"]) == (250.0, True)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"a": [1, None, 2.5]}, {"a": [1, None, 2.5]}),
        ("short", "short"),
        ({"a": "x" * 100}, '{"a": "xxx…'),
        (10**30, "1000000000…"),
        ("\ud800", "?"),
        (object, "<class 'ob…"),
    ],
)
def test_what_is_long_or_not_plain_is_told_as_the_beginning_of_a_text(value, shown):
    assert brief(value, 10 if shown != value else 30) == shown


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=10,
)


@given(anything)
def test_whatever_a_tool_is_given_can_be_written_down(value):
    row = told(ToolRun("t", value, str(value)))
    assert unpack(pack(row))[1]["name"] == "t"


def test_uses_read_back_in_order_with_their_attempts():
    story = [
        Event("t", 0, EventKind.ACCEPTED, []),
        Event.within("t", 1, USED_PLACE, EventKind.USED, [[1.0, MODEL, "a"], [2.0, TOOL, "b"]]),
        Event.within("t", 1, USED_PLACE + 1, EventKind.USED, [[3.0, MODEL, "c"]]),
        Event.within("t", 2, 1, EventKind.STARTED),
        Event.within("t", 2, USED_PLACE, EventKind.USED, [[4.0, MODEL, "d"]]),
    ]
    assert list(uses(story)) == [
        Used(1, 1.0, MODEL, "a"),
        Used(1, 2.0, TOOL, "b"),
        Used(1, 3.0, MODEL, "c"),
        Used(2, 4.0, MODEL, "d"),
    ]


@pytest.mark.parametrize(
    ("model", "provider"), [("openai/gpt-4o", "openai"), ("rules", "cartrita"), ("a/b/c", "a")]
)
def test_a_model_s_name_tells_who_runs_it(model, provider):
    assert provider_of(model) == provider
