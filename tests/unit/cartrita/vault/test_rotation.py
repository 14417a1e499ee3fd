"""Tests of when keys are due."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cartrita.storage.vault import RotationPolicy, VaultKey
from cartrita.vault.rotation import DAY, due_among, state_of

KEY = VaultKey("k", "u", "openai", "main", 0.0, 0.0, 0.0, rotate_days=90)
POLICY = RotationPolicy("p", "u", "openai", "default", 30, 7, False, True, 0.0, 0.0)


def test_a_key_is_due_after_its_own_days():
    assert due_among([KEY], [], 90 * DAY - 1) == []
    (due,) = due_among([KEY], [], 90 * DAY)
    assert (due.at, due.late) == (90 * DAY, True)


def test_a_policy_shortens_the_days_and_gives_grace():
    (due,) = due_among([KEY], [POLICY], 30 * DAY)
    assert (due.at, due.late, due.policy) == (30 * DAY, False, POLICY)
    assert due_among([KEY], [POLICY], 37 * DAY)[0].late


def test_what_is_off_or_of_others_asks_for_nothing():
    others = [replace(POLICY, enabled=False), replace(POLICY, provider="github")]
    assert due_among([KEY], others, 30 * DAY) == []
    assert due_among([replace(KEY, active=False)], [POLICY], 99 * DAY) == []
    assert due_among([replace(KEY, rotate_days=None)], [], 999 * DAY) == []


def test_late_is_critical_and_soon_a_warning():
    due = due_among([KEY], [POLICY], 30 * DAY)
    assert state_of([], []) == "healthy"
    assert state_of([], due) == state_of(due, due) == "warning"
    assert state_of(due_among([KEY], [POLICY], 40 * DAY), due) == "critical"


@given(st.lists(st.integers(1, 400), max_size=5), st.integers(1, 400), st.integers(0, 500))
def test_a_policy_never_lengthens(intervals, own, day):
    key = replace(KEY, rotate_days=own)
    policies = [replace(POLICY, interval_days=days) for days in intervals]
    alone = due_among([key], [], day * DAY)
    ruled = due_among([key], policies, day * DAY)
    assert len(ruled) >= len(alone)
    assert bool(ruled) is (min([own, *intervals]) <= day)
