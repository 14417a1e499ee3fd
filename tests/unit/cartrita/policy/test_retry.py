"""What is tried again, how often, and after how long."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.clock import ManualClock
from cartrita.errors import AgentFailed, ChannelLost, NetworkFailed, RateLimitExceeded
from cartrita.policy.retry import LONGEST_DELAY, TRIES, Retry, backoff

HASTY = Retry(random.Random(1), first_delay=0.0)


class Failing:
    """Fails in the given ways, one after the other, then works."""

    def __init__(self, *errors):
        self._errors, self.tries = list(errors), 0

    async def __call__(self, job):
        self.tries += 1
        if self._errors:
            raise self._errors.pop(0)
        return "done"


async def test_what_works_is_done_once(job):
    work = Failing()
    assert await HASTY(job("work.again"), work) == "done"
    assert work.tries == 1


async def test_idempotent_work_that_failed_on_the_network_is_tried_again(job):
    work, again = Failing(NetworkFailed(), ChannelLost()), job("work.again")
    assert await HASTY(again, work) == "done"
    assert work.tries == TRIES == 3
    assert again.context.measures == {"retries": 2}


async def test_after_the_last_try_the_error_is_told(job):
    errors = [NetworkFailed(str(number)) for number in range(5)]
    work = Failing(*errors)
    with pytest.raises(NetworkFailed) as failed:
        await HASTY(job("work.again"), work)
    assert failed.value is errors[TRIES - 1]
    assert work.tries == TRIES


async def test_work_that_may_not_run_twice_is_not_tried_again(job):
    work = Failing(NetworkFailed())
    with pytest.raises(NetworkFailed):
        await HASTY(job("work.once"), work)
    assert work.tries == 1


class Heard:
    """A reach that was used."""

    used = True


async def test_work_that_has_said_something_is_not_tried_again(job):
    work = Failing(NetworkFailed())
    with pytest.raises(NetworkFailed):
        await HASTY(job("work.again", reach=Heard()), work)
    assert work.tries == 1


def test_it_makes_no_difference_for_what_may_not_run_twice(job):
    assert HASTY.concerns(job("work.again").spec)
    assert not HASTY.concerns(job("work.once").spec)


@pytest.mark.parametrize("error", [AgentFailed(), RateLimitExceeded(), ValueError(), OSError()])
async def test_other_errors_are_not_tried_again(job, error):
    work = Failing(error)
    with pytest.raises(type(error)):
        await HASTY(job("work.again"), work)
    assert work.tries == 1


async def test_a_pause_longer_than_what_is_left_is_not_begun(job):
    clock = ManualClock(100.0)
    work = Failing(NetworkFailed(retry_after=11))
    with pytest.raises(NetworkFailed):
        await HASTY(job("work.again", clock=clock, deadline=110.0), work)
    assert work.tries == 1


async def test_the_provider_s_own_pause_is_kept(job):
    work = Failing(NetworkFailed(retry_after=0.001))
    slow = Retry(random.Random(1), first_delay=60.0)
    assert await slow(job("work.again"), work) == "done"


@given(st.integers(0, 40), st.integers())
def test_pauses_double_up_to_a_bound_give_or_take_half(attempt, seed):
    delay = backoff(random.Random(seed), attempt, 0.2, LONGEST_DELAY)
    middle = min(0.2 * 2**attempt, LONGEST_DELAY)
    assert middle * 0.5 <= delay <= middle * 1.5
