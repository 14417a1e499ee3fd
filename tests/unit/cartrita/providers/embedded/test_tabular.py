"""Tests of cartrita/providers/embedded/tabular.py."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

import pytest

from cartrita.providers.embedded.tabular import Column, columns, jsonable


def only(*values):
    (column,) = columns([{"x": value} for value in values])
    return column


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((1, 2, None), "BIGINT"),
        ((2**63 - 1, -(2**63) + 1), "BIGINT"),
        ((2**64, 1), "HUGEINT"),
        ((2**127,), "VARCHAR"),
        ((1.5, 2), "DOUBLE"),
        ((float("nan"), 1), "BIGINT"),
        ((True, False), "BOOLEAN"),
        ((True, 1), "VARCHAR"),
        (("a", 1), "VARCHAR"),
        (("2026-01-02", "2026-12-31"), "DATE"),
        (("2026-01-02", "soon"), "VARCHAR"),
        (("2026-02-30",), "VARCHAR"),
        (("2026-01-02T03:04:05", "2026-01-02 03:04"), "TIMESTAMP"),
        (("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.5+02:00"), "TIMESTAMPTZ"),
        (("2026-01-02T03:04:05Z", "2026-01-02T03:04:05"), "VARCHAR"),
        (("2026-01-02T25:04:05",), "VARCHAR"),
        (([1], {"a": 1}, 2), "JSON"),
        ((None,), "VARCHAR"),
    ],
)
def test_the_narrowest_type_that_holds_all_values_is_taken(values, kind):
    assert only(*values).type == kind


def test_columns_are_the_union_of_keys_in_order_with_gaps_empty():
    assert columns([{"b": 1}, {"a": "x", "b": None}]) == [
        Column("b", "BIGINT", ["1", None]),
        Column("a", "VARCHAR", [None, "x"]),
    ]


def test_values_travel_as_text_that_reads_back_exactly():
    assert only(0.1, 1e-300).values == ["0.1", "1e-300"]
    assert only(True, None).values == ["true", None]
    assert only({"a": [None]}, "x").values == ['{"a": [null]}', '"x"']


def test_no_rows_have_no_columns():
    assert columns([]) == []
    assert columns([{}]) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        ("x", "x"),
        (7, 7),
        (2**53, 2**53),
        (2**53 + 1, "9007199254740993"),
        (1.5, 1.5),
        (float("nan"), None),
        (float("-inf"), None),
        (Decimal("1.50"), 1.5),
        (Decimal("0.1234567890123456789"), "0.1234567890123456789"),
        (Decimal("NaN"), None),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
        (time(3, 4), "03:04:00"),
        (b"\x00\xff", "AP8="),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ([1, (float("inf"),)], [1, [None]]),
        ({1: Decimal(2), date(2026, 1, 2): "x"}, {"1": 2.0, "2026-01-02": "x"}),
    ],
)
def test_values_become_json_that_no_reader_rounds(value, expected):
    assert jsonable(value) == expected
