"""Tests of cartrita/figures/table.py."""

import pytest

from cartrita.figures.table import (
    Range,
    filtered,
    groups,
    is_number,
    iso_of,
    label,
    moment,
    number_columns,
    seconds,
    time_columns,
)

ROWS = [
    {"day": "2026-01-01", "city": "Rome", "sold": 5, "open": True},
    {"day": "2026-01-02T12:00:00Z", "city": "Oslo", "sold": 7.5, "open": False},
    {"day": "2026-01-03", "city": None, "sold": None},
]


def test_columns_are_told_apart_by_what_they_hold():
    assert number_columns(ROWS) == ["sold"]
    assert time_columns(ROWS) == ["day"]


@pytest.mark.parametrize("value", [True, None, "5", float("nan"), float("inf"), 10**400, [1]])
def test_what_cannot_be_calculated_with_is_no_number(value):
    assert not is_number(value)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1970-01-02", 86_400),
        ("1970-01-01T01:00:00", 3600),
        ("1970-01-01T01:00:00+01:00", 0),
        ("2026-02-30", None),
        ("yesterday", None),
        ("0001-01-01", None),
        (5, None),
    ],
)
def test_times_are_read_as_utc(text, instant):
    assert moment(text) == instant


def test_instants_are_written_as_short_as_they_are():
    assert iso_of(86_400) == "1970-01-02"
    assert iso_of(3600) == "1970-01-01T01:00:00Z"


@pytest.mark.parametrize(
    ("filters", "cities"),
    [
        ({"city": "Rome"}, ["Rome"]),
        ({"city": ["Rome", "Oslo"], "sold": Range(min=6)}, ["Oslo"]),
        ({"day": Range(min="2026-01-02", max="2026-01-02T23:00:00")}, ["Oslo"]),
        ({"open": 1}, []),
        ({"open": True}, ["Rome"]),
        ({"sold": Range()}, ["Rome", "Oslo"]),
        ({}, ["Rome", "Oslo", None]),
    ],
)
def test_filters_keep_what_fits_all_of_them(filters, cities):
    assert [row["city"] for row in filtered(ROWS, filters)] == cities


def test_groups_come_in_the_order_of_their_first_row():
    assert list(groups(ROWS, ["city"])) == [("Rome",), ("Oslo",), ("null",)]


def test_labels_are_short_and_can_be_written():
    assert len(label("x" * 500)) == 120
    assert label("\ud800") == "?"
    assert label({"a": 1}) == '{"a": 1}'


@pytest.mark.parametrize(
    ("period", "length"), [("90s", 90), ("5m", 300), ("30d", 2_592_000), ("1y", 31_536_000)]
)
def test_a_period_is_so_many_seconds(period, length):
    assert seconds(period) == length
