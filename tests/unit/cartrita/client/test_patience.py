"""Tests of when a call is repeated."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita import errors
from cartrita.client.patience import LONGEST_PAUSE, Patience, passing
from cartrita.clock import ManualClock, new_random

BUSY = errors.QueueFull("full")


def patience(seconds=60.0, retries=8, clock=None):
    return Patience(seconds, retries, clock or ManualClock(), new_random(1))


@pytest.mark.parametrize(
    ("error", "again", "again_unrepeatable"),
    [
        (errors.QueueFull(), True, False),
        (errors.AgentUnavailable(), True, False),
        (errors.ServiceUnavailable(), True, False),
        (errors.ChannelLost(), True, False),
        (errors.NetworkFailed(), True, True),
        (errors.RateLimitExceeded(), True, True),
        (errors.StillRunning(), False, False),
        (errors.TaskTimeout("", "DEADLINE_IMPOSSIBLE"), False, False),
        (errors.InternalFailure(), False, False),
        (errors.InvalidParameters(), False, False),
        (errors.InsufficientBudget(retry_after=5), False, False),
        (errors.AuthenticationFailed(), False, False),
    ],
)
def test_only_what_passes_and_does_no_harm_is_repeated(error, again, again_unrepeatable):
    assert passing(error, repeatable=True) is again
    assert passing(error, repeatable=False) is again_unrepeatable


def test_pauses_grow_up_to_a_cap():
    waiting = patience(seconds=1000)
    pauses = [waiting.after(BUSY, repeatable=True).seconds for _ in range(8)]
    for number, pause in enumerate(pauses):
        full = min(0.1 * 2**number, LONGEST_PAUSE)
        assert full / 2 <= pause <= full


def test_it_gives_up_after_so_many_failures_in_a_row():
    waiting = patience(retries=2)
    waiting.after(BUSY, repeatable=True)
    waiting.after(BUSY, repeatable=True)
    with pytest.raises(errors.QueueFull):
        waiting.after(BUSY, repeatable=True)


def test_a_success_in_between_counts_from_the_beginning():
    waiting = patience(retries=1)
    waiting.after(BUSY, repeatable=True)
    waiting.succeeded()
    assert waiting.after(BUSY, repeatable=True).seconds <= 0.1


def test_the_server_is_never_asked_earlier_than_it_said():
    asked = errors.QueueFull("full", retry_after=7)
    assert patience().after(asked, repeatable=True).seconds >= 7


def test_nobody_waits_for_what_comes_after_the_end_of_the_patience():
    with pytest.raises(errors.QueueFull) as told:
        patience(seconds=5).after(errors.QueueFull("full", retry_after=7), repeatable=True)
    assert told.value.retry_after == 7


@given(st.floats(0.1, 60), st.integers(0, 20), st.floats(0, 20))
def test_no_wait_outlasts_the_patience(seconds, retries, asked):
    clock = ManualClock()
    waiting = patience(seconds, retries, clock)
    begin, tries = clock.monotonic(), 0
    with suppress(errors.QueueFull):
        while tries <= retries:
            error = errors.QueueFull("full", retry_after=asked)
            clock.advance(waiting.after(error, repeatable=True).seconds)
            tries += 1
    assert tries <= retries
    assert clock.monotonic() - begin <= seconds
