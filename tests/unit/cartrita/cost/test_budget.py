"""Budgets as values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.cost.budget import (
    DAY,
    Balance,
    Ceiling,
    Defaults,
    Line,
    Period,
    Spending,
    added_up,
    itemised,
)

NOON = 20_000 * DAY + DAY / 2
MIDNIGHT = 20_001 * DAY


def daily(**fields):
    return Balance("user:ada", Ceiling(100, 10, Period.DAY), resets_at=MIDNIGHT, **fields)


def test_a_day_ends_at_midnight_and_a_total_never():
    assert Period.DAY.ends(NOON) == Period.DAY.ends(MIDNIGHT - 1) == MIDNIGHT
    assert Period.DAY.ends(MIDNIGHT) == MIDNIGHT + DAY
    assert Period.TOTAL.ends(NOON) is None


def test_a_new_day_forgets_what_was_used_and_keeps_what_is_promised():
    row = daily(used_nano=5, used_tokens=6, reserved_nano=7, reserved_tokens=8)
    assert row.at(MIDNIGHT - 1) is row
    later = row.at(MIDNIGHT + 3 * DAY + 1)
    assert (later.used_nano, later.used_tokens, later.resets_at) == (0, 0, MIDNIGHT + 4 * DAY)
    assert (later.reserved_nano, later.reserved_tokens) == (7, 8)


def test_what_costs_nothing_fits_a_budget_that_is_overdrawn():
    row = daily(used_nano=200, used_tokens=20)
    assert row.fits(0, 0)
    assert not row.fits(1, 0)
    assert not row.fits(0, 1)


@given(*[st.integers(0, 120)] * 3, *[st.integers(0, 12)] * 3)
def test_what_fits_never_takes_more_than_the_ceiling(used, held, more, tokens, kept, count):
    row = Balance("x", Ceiling(100, 10), used, tokens, held, kept)
    if row.fits(more, count):
        after = row.promised(more, count)
        assert more == 0 or after.used_nano + after.reserved_nano <= 100
        assert count == 0 or after.used_tokens + after.reserved_tokens <= 10
    else:
        assert used + held + more > 100 or tokens + kept + count > 10


def test_pressure_is_that_of_the_fuller_side():
    assert daily(used_nano=20, reserved_nano=30, used_tokens=7).pressure == 0.7
    assert daily(used_nano=300).pressure == 1.0
    assert Balance("x", Ceiling(), 5, 5).pressure == 0.0


def test_a_budget_that_is_set_anew_keeps_what_is_used():
    row = daily(used_nano=5, own=False).holding(Ceiling(50, None, Period.DAY), NOON, own=True)
    assert (row.ceiling.nano_usd, row.used_nano, row.own, row.resets_at) == (50, 5, True, MIDNIGHT)
    assert row.holding(Ceiling(50), NOON, own=True).resets_at is None


def test_defaults_go_by_the_kind():
    defaults = Defaults({"user": Ceiling(5)})
    assert defaults.of("user:a:b") == Ceiling(5)
    assert defaults.of("tenant:a") is None


def test_a_bill_s_lines_add_up_to_what_is_charged():
    lines = itemised({"a": (2, 10, 7)}, (25, 7))
    assert lines == (Line("a", 0, 2, 0, 10, 7), Line("", 1, 0, 0, 15, 0))
    assert itemised({}, (25, 7), "local") == (Line("local", 1, 0, 0, 25, 7),)


@given(
    st.dictionaries(st.text(max_size=3), st.tuples(*[st.integers(0, 99)] * 3)),
    st.tuples(*[st.integers(0, 999)] * 2),
)
def test_no_bill_has_other_sums_than_its_total(used, total):
    lines = itemised(used, total)
    assert (sum(one.nano_usd for one in lines), sum(one.tokens for one in lines)) == total
    assert sum(one.tasks for one in lines) == 1


def test_lines_are_added_up_by_name():
    rows = [("b", Line("m", 1, 2, 0, 3, 4)), ("a", Line("m", 1)), ("b", Line("n", 0, 1, 1, 1, 1))]
    assert list(added_up(rows)) == [Spending("a", 1, 0, 0, 0, 0), Spending("b", 1, 3, 1, 4, 5)]


@pytest.mark.parametrize("kind", ["user", "tenant"])
def test_an_empty_budget_says_when_it_begins_anew(kind):
    row = Balance.empty(f"{kind}:x", Ceiling(1, 1, Period.DAY), NOON, own=False)
    assert (row.resets_at, row.used_nano, row.pressure) == (MIDNIGHT, 0, 0.0)
