"""Trace context, continued or begun."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.telemetry.trace import below, continue_trace, parent_id, span_id, trace_id

VALID = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_caller_s_trace_goes_on():
    assert continue_trace(VALID) == VALID
    assert trace_id(VALID) == "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        VALID.upper(),
        VALID[:-1],
        f"{VALID}-more",
        VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        VALID.replace("00f067aa0ba902b7", "0" * 16),
        "ff" + VALID[2:],
    ],
)
def test_without_a_valid_one_a_trace_begins(header):
    begun = continue_trace(header)
    assert begun != header
    assert continue_trace(begun) == begun
    assert begun != continue_trace(header)


@given(st.text())
def test_whatever_comes_the_answer_is_a_valid_header(header):
    begun = continue_trace(header)
    assert continue_trace(begun) == begun
    assert len(trace_id(begun)) == 32


def test_nothing_rides_along_behind_a_header():
    assert "\n" not in continue_trace(f"{VALID}\n")


def test_work_under_a_caller_s_span_belongs_to_it_and_a_trace_s_first_to_none():
    assert parent_id(VALID) == "00f067aa0ba902b7"
    begun = continue_trace(None)
    assert parent_id(begun) == ""
    assert parent_id(continue_trace(begun)) == ""


def test_an_id_follows_from_what_it_is_about():
    assert span_id("task", 1) == span_id("task", 1) != span_id("task", 2)
    assert len(span_id()) == 16
    under = below(VALID, span_id("task", 1))
    assert continue_trace(under) == under
    assert (trace_id(under), parent_id(under)) == (trace_id(VALID), span_id("task", 1))
