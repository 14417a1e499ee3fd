"""Tests of cartrita/figures/profile.py."""

import pytest

from cartrita.figures.profile import correlations, kind_of, profile

ROWS = [
    {"n": number, "m": -2 * number, "city": "Rome" if number % 2 else "Oslo", "day": "2026-01-01"}
    for number in range(1, 11)
]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2.5], "number"),
        (["a", "2026-01-01"], "text"),
        (["2026-01-01"], "time"),
        ([True, False], "boolean"),
        ([1, "a"], "mixed"),
        ([1, True], "mixed"),
        ([], "empty"),
    ],
)
def test_a_kind_is_what_all_values_are(values, kind):
    assert kind_of(values) == kind


def test_each_column_is_described():
    number, _, city, day = profile([*ROWS, {"n": 1000, "city": None}])
    assert (number.kind, number.present, number.missing, number.outliers) == ("number", 11, 0, 1)
    assert number.figures["max"] == 1000
    assert (city.missing, city.distinct, city.frequent) == (1, 2, [("Rome", 5), ("Oslo", 5)])
    assert day.span == ("2026-01-01", "2026-01-01")


def test_columns_that_move_together_are_found():
    (found,) = correlations(ROWS, ["n", "m"])
    assert (found.a, found.b, found.r, found.rows) == ("n", "m", pytest.approx(-1.0), 10)
    assert correlations([{"a": 1, "b": n} for n in range(5)], ["a", "b"]) == []
    assert correlations(ROWS[:2], ["n", "m"]) == []
    assert correlations([{"a": n * 1e308, "b": n} for n in (-1, 0, 1)], ["a", "b"]) == []
