"""Tests of cartrita/figures/steps.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from cartrita.figures.steps import Step, StepError

STEP = TypeAdapter(Step)
ROWS = [
    {"city": "Rome", "sold": 5, "day": "2026-01-02T10:00:00Z"},
    {"city": "Oslo", "sold": None, "day": "soon"},
    {"city": "Rome", "sold": 7, "day": "2026-01-01"},
]


def apply(rows, **step):
    return list(STEP.validate_python(step).apply(rows))


@pytest.mark.parametrize(
    ("step", "rows"),
    [
        ({"op": "filter", "filters": {"sold": {"min": 6}}}, [ROWS[2]]),
        ({"op": "select", "columns": ["sold"]}, [{"sold": 5}, {"sold": None}, {"sold": 7}]),
        ({"op": "sort", "by": ["sold"], "descending": True}, [ROWS[2], ROWS[0], ROWS[1]]),
        ({"op": "sort", "by": ["city", "sold"]}, [ROWS[1], ROWS[0], ROWS[2]]),
        ({"op": "limit", "count": 1, "offset": 1}, [ROWS[1]]),
        ({"op": "deduplicate", "by": ["city"]}, ROWS[:2]),
        (
            {
                "op": "aggregate",
                "by": ["city"],
                "figures": {
                    "total": {"column": "sold", "metric": "sum"},
                    "sales": {"column": "sold", "metric": "count"},
                },
            },
            [{"city": "Rome", "total": 12, "sales": 2}, {"city": "Oslo", "total": 0, "sales": 0}],
        ),
        (
            {"op": "aggregate", "figures": {"top": {"column": "sold", "metric": "max"}}},
            [{"top": 7}],
        ),
    ],
)
def test_a_step_does_what_it_says(step, rows):
    assert apply(ROWS, **step) == rows


def test_columns_are_dropped_and_renamed():
    assert apply(ROWS[:1], op="drop", columns=["day", "sold"]) == [{"city": "Rome"}]
    renamed = apply(ROWS[:1], op="rename", names={"city": "town"})
    assert list(renamed[0]) == ["town", "sold", "day"]
    with pytest.raises(StepError, match="one name"):
        apply(ROWS, op="rename", names={"city": "day"})


@pytest.mark.parametrize(
    ("given", "value"), [({"value": 0}, 0), ({"method": "mean"}, 6), ({"method": "previous"}, 5)]
)
def test_gaps_are_filled(given, value):
    assert [row["sold"] for row in apply(ROWS, op="fill", column="sold", **given)] == [5, value, 7]


@pytest.mark.parametrize(
    ("to", "value", "read"),
    [
        ("number", "12.50", 12.5),
        ("number", "3", 3),
        ("number", "three", None),
        ("number", "inf", None),
        ("text", 5, "5"),
        ("boolean", "Yes", True),
        ("boolean", 0, False),
        ("boolean", "perhaps", None),
        ("date", "2026-01-02T10:00:00Z", "2026-01-02"),
        ("date", "soon", None),
    ],
)
def test_values_are_read_as_something_else(to, value, read):
    assert apply([{"a": value}], op="convert", column="a", to=to) == [{"a": read}]


def test_a_step_on_a_column_that_is_not_there_says_so():
    with pytest.raises(StepError, match="no column 'town', only 'city'"):
        apply(ROWS, op="sort", by=["town"])


@pytest.mark.parametrize(
    "step",
    [
        {"op": "guess"},
        {"op": "fill", "column": "a"},
        {"op": "limit", "count": -1},
        {"op": "aggregate", "figures": {"x": {"column": "a", "metric": "magic"}}},
        {"op": "aggregate", "by": ["a"], "figures": {"a": {"column": "b", "metric": "sum"}}},
    ],
)
def test_steps_that_make_no_sense_are_refused(step):
    with pytest.raises(ValidationError):
        STEP.validate_python(step)


rows = st.lists(st.dictionaries(st.sampled_from("ab"), st.none() | st.integers(-9, 9)), max_size=20)


@given(rows, st.booleans())
def test_sorting_keeps_every_row_and_does_it_once_for_all(given_rows, descending):
    filled = [{"a": None} | row for row in given_rows]
    once = apply(filled, op="sort", by=["a"], descending=descending)
    assert sorted(map(str, once)) == sorted(map(str, filled))
    assert apply(once, op="sort", by=["a"], descending=descending) == once
