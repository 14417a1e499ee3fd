"""Tests of cartrita/providers/throttle.py."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.clock import ManualClock
from cartrita.errors import NetworkFailed
from cartrita.providers import throttle
from cartrita.providers.throttle import LEAST, Throttle, Window

CALL = st.one_of(st.just("refused"), st.tuples(st.floats(0.001, 100), st.integers(0, 5000)))


@given(st.lists(st.tuples(CALL, st.floats(0, 5))), st.floats(1, 64))
def test_the_window_stays_within_its_bounds_whatever_happens(calls, most):
    window, now = Window(most), 0.0
    for call, later in calls:
        now += later
        if call == "refused":
            window.refused(now)
        else:
            window.answered(*call, now)
        assert LEAST <= window.limit <= most


def test_it_grows_by_one_for_each_round_of_calls():
    window = Window(64.0, limit=4.0)
    for _ in range(4):
        window.answered(1.0, 0, 0.0)
    assert 4.8 < window.limit <= 5


def test_a_refusal_halves_it_once_for_all_that_were_refused_together():
    window = Window(64.0, limit=32.0)
    for _ in range(10):
        window.refused(100.0)
    assert window.limit == 16
    window.refused(102.0)
    assert window.limit == 8


def test_slower_answers_shrink_it_though_nothing_is_refused():
    window = Window(64.0, limit=32.0)
    for second in range(40):
        window.answered(1.0, 100, second)
    grown = window.limit
    for second in range(40, 60):
        window.answered(20.0, 100, second)
    assert window.limit < grown / 2


def test_a_longer_answer_is_not_a_slower_one():
    window = Window(64.0, limit=8.0)
    for second in range(40):
        window.answered(1.0, 0, second)
    before = window.limit
    window.answered(10.0, 900, 41)
    assert window.limit > before


async def enter(gate, wait=10.0):
    await gate.enter(wait)


async def test_calls_beyond_the_window_wait_in_order():
    gate = Throttle("p", 2, ManualClock())
    await gate.enter(1)
    await gate.enter(1)
    order = []

    async def come(name):
        await gate.enter(10)
        order.append(name)

    waiting = [asyncio.create_task(come(name)) for name in "abc"]
    await asyncio.sleep(0)
    assert gate.under_way == 2
    gate.leave()
    await waiting[0]
    gate.leave()
    gate.leave()
    await asyncio.gather(*waiting)
    assert order == ["a", "b", "c"]


async def test_who_waits_too_long_is_told_that_the_provider_is_busy():
    gate = Throttle("p", 1, ManualClock())
    await gate.enter(1)
    with pytest.raises(NetworkFailed, match="'p'") as caught:
        await gate.enter(0.01)
    assert caught.value.reason == "PROVIDER_BUSY"
    gate.leave()
    await gate.enter(1)
    assert gate.under_way == 1


async def test_who_leaves_the_line_takes_no_place():
    gate = Throttle("p", 1, ManualClock())
    await gate.enter(1)
    waiting = asyncio.create_task(enter(gate))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.leave()
    assert gate.under_way == 0


async def test_a_place_given_to_somebody_who_was_cancelled_goes_on_to_the_next():
    gate = Throttle("p", 1, ManualClock())
    await gate.enter(1)
    first, second = (asyncio.create_task(enter(gate)) for _ in range(2))
    await asyncio.sleep(0)
    gate.leave()  # to the first, which does not run before it is cancelled
    first.cancel()
    await second
    assert gate.under_way == 1


async def test_the_line_has_an_end(monkeypatch):
    monkeypatch.setattr(throttle, "QUEUE", 1)
    gate = Throttle("p", 1, ManualClock())
    await gate.enter(1)
    waiting = asyncio.create_task(enter(gate))
    await asyncio.sleep(0)
    with pytest.raises(NetworkFailed):
        await gate.enter(1)
    gate.leave()
    await waiting
