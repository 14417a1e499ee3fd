"""What an agent knows about its task."""

import threading
from decimal import Decimal

import pytest

from cartrita.clock import ManualClock
from cartrita.context import Context, Usage
from cartrita.errors import TaskTimeout


def context(**fields):
    return Context("t", **fields)


def test_a_context_without_a_deadline_has_time_for_ever():
    assert context().remaining() == float("inf")


def test_the_time_that_is_left_shrinks_and_ends():
    clock = ManualClock(100.0)
    ctx = context(clock=clock, deadline=110.0)
    assert ctx.remaining() == 10.0
    clock.advance(9.5)
    assert ctx.remaining() == 0.5
    clock.advance(0.5)
    with pytest.raises(TaskTimeout, match="'t'"):
        ctx.remaining()


def test_what_a_task_reports_is_kept_in_order():
    ctx, usage = context(), Usage("m", 3, 4, Decimal("0.5"))
    ctx.warn("first")
    ctx.warn("second")
    ctx.spent(usage)
    ctx.measure("pages", 2)
    ctx.measure("pages", 3)
    assert ctx.warnings == ["first", "second"]
    assert ctx.usages == [usage]
    assert ctx.measures == {"pages": 3}


def test_two_tasks_do_not_share_what_they_report():
    one, other = context(), context()
    one.warn("mine")
    one.measure("mine", 1)
    one.spent(Usage("mine"))
    assert (other.warnings, other.measures, other.usages) == ([], {}, [])


@pytest.mark.parametrize(
    "fields",
    [
        {"tokens_in": -1},
        {"tokens_out": -1},
        {"tokens_out": 10**16},
        {"usd": Decimal(-1)},
        {"usd": Decimal("NaN")},
        {"usd": Decimal("Infinity")},
        {"usd": Decimal(10**12)},
    ],
)
def test_a_use_that_nobody_can_be_charged_for_is_refused(fields):
    with pytest.raises(ValueError, match="charged"):
        Usage("m", **fields)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_measure_that_json_cannot_write_is_refused(value):
    with pytest.raises(ValueError, match="'speed'"):
        context().measure("speed", value)


class TestThreads:
    async def test_work_runs_off_the_loop_with_its_arguments(self):
        def work(*args, **kwargs):
            return threading.current_thread() is threading.main_thread(), args, kwargs

        assert await context().in_thread(work, 1, two=2) == (False, (1,), {"two": 2})

    async def test_an_error_of_the_work_arrives(self):
        with pytest.raises(ZeroDivisionError):
            await context().in_thread(lambda: 1 / 0)

    async def test_a_timeout_of_the_work_itself_is_its_own(self):
        def work():
            raise TimeoutError("the provider's")

        with pytest.raises(TimeoutError, match="the provider's"):
            await context().in_thread(work)

    async def test_the_deadline_ends_the_wait_as_a_timeout_of_the_task(self):
        release = threading.Event()
        ctx = context()
        ctx.deadline = ctx.clock.monotonic() + 0.01
        try:
            with pytest.raises(TaskTimeout):
                await ctx.in_thread(release.wait, 5)
        finally:
            release.set()

    async def test_after_the_deadline_nothing_is_begun(self):
        begun = []
        ctx = context(clock=ManualClock(100.0), deadline=100.0)
        with pytest.raises(TaskTimeout):
            await ctx.in_thread(begun.append, 1)
        assert begun == []
