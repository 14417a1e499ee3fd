"""No attempt outlives its deadline."""

import asyncio

import pytest

from cartrita.clock import SystemClock
from cartrita.errors import TaskTimeout
from cartrita.policy.deadline import Deadline

CLOCK = SystemClock()


@pytest.fixture
def due(job):
    """Give a function that makes a job due in some seconds."""
    return lambda seconds: job(clock=CLOCK, deadline=CLOCK.monotonic() + seconds)


async def test_work_in_time_is_left_alone(due):
    async def work(job):
        return "done"

    assert await Deadline()(due(60), work) == "done"


async def test_work_is_cancelled_when_the_time_is_up(due):
    ended = asyncio.Event()

    async def work(job):
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TaskTimeout, match=r"'work\.once'"):
        await Deadline()(due(0.01), work)
    assert ended.is_set()


async def test_a_deadline_that_is_past_lets_nothing_begin(due):
    async def work(job):
        raise AssertionError

    with pytest.raises(TaskTimeout):
        await Deadline()(due(0), work)


async def test_a_timeout_of_the_work_s_own_is_not_the_deadline_s(due):
    async def work(job):
        raise TimeoutError("the provider's")

    with pytest.raises(TimeoutError, match="the provider's") as failed:
        await Deadline()(due(60), work)
    assert not isinstance(failed.value, TaskTimeout)


async def test_a_cancellation_from_outside_stays_one(due):
    begun = asyncio.Event()

    async def work(job):
        begun.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(Deadline()(due(60), work))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_without_a_deadline_there_is_all_the_time(job):
    async def work(job):
        await asyncio.sleep(0)
        return "done"

    assert await Deadline()(job(), work) == "done"


async def test_one_deadline_serves_many_attempts_each_at_its_own_time(due):
    deadline, ended = Deadline(), []

    async def work(job):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(job.context.task_id)

    def begin(name, seconds):
        job = due(seconds)
        job.context.task_id = name
        return asyncio.create_task(deadline(job, work))

    late, soon, never = begin("late", 0.06), begin("soon", 0.02), begin("never", 60)
    for running in (soon, late):
        with pytest.raises(TaskTimeout):
            await running
    assert ended == ["soon", "late"]
    assert not never.done()
    never.cancel()
    await asyncio.wait([never])
    with pytest.raises(TaskTimeout):
        await begin("again", 0.01)


async def test_whoever_cancels_it_as_well_sees_a_cancellation(due):
    async def work(job):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            running.cancel()  # by somebody else, just now
            raise

    running = asyncio.create_task(Deadline()(due(0.01), work))
    with pytest.raises(asyncio.CancelledError):
        await running
    assert running.cancelled()


async def test_the_task_is_as_it_was_after_a_deadline(due):
    async def work(job):
        await asyncio.Event().wait()

    async def attempt():
        with pytest.raises(TaskTimeout):
            await Deadline()(due(0.01), work)
        await asyncio.sleep(0)
        return asyncio.current_task().cancelling()

    assert await asyncio.create_task(attempt()) == 0
