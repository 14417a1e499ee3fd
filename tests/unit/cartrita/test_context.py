"""What an agent knows about its task."""

import asyncio
import threading
from decimal import Decimal

import pytest

from cartrita.clock import ManualClock
from cartrita.context import Context, Usage, result_of
from cartrita.errors import (
    AgentFailed,
    CartritaError,
    ErrorCode,
    InternalFailure,
    NetworkFailed,
    TaskTimeout,
)


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

    async def test_work_that_is_cancelled_sees_it(self):
        ctx, begun, seen = context(), threading.Event(), []

        def work():
            try:
                begun.set()
                ctx.cancelled.wait(20)
            finally:
                seen.append(ctx.cancelled.is_set())

        running = asyncio.create_task(ctx.in_thread(work))
        await asyncio.to_thread(begun.wait, 10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        async with asyncio.timeout(10):
            while not seen:  # noqa: ASYNC110 - a thread has no asyncio.Event
                await asyncio.sleep(0)
        assert seen == [True]
        assert not ctx.cancelled.is_set()

    async def test_the_end_of_the_attempt_ends_what_it_left_running(self):
        ctx, begun = context(), threading.Event()
        over = ctx.cancelled

        def work():
            begun.set()
            over.wait(20)

        running = asyncio.create_task(ctx.in_thread(work))
        await asyncio.to_thread(begun.wait, 10)
        assert not over.is_set()
        ctx.close()
        assert over.is_set()
        with pytest.raises(asyncio.CancelledError):
            await running

    def test_who_asks_after_the_end_whether_it_is_over_is_told(self):
        ctx = context()
        ctx.close()
        assert ctx.cancelled.is_set()


class TestWithoutHost:
    async def test_what_it_says_is_heard_by_nobody(self):
        ctx = context()
        await ctx.progress(0.5)
        await ctx.token("a")
        await ctx.tool("t", {})
        assert not ctx.used

    async def test_it_can_neither_call_nor_listen(self):
        with pytest.raises(InternalFailure, match="run_task"):
            await context().call("other.task", {})
        with pytest.raises(InternalFailure, match="run_task"):
            context().incoming()


class TestResponse:
    def test_a_result_is_returned(self):
        response = {"taskId": "c", "status": "COMPLETED", "result": {"a": 1}}
        assert result_of(response, "other.task") == {"a": 1}

    @pytest.mark.parametrize("code", ErrorCode)
    def test_an_error_is_raised_as_it_was_and_names_its_task(self, code):
        response = {"taskId": "c1", "status": "FAILED", "errorCode": code.value}
        response |= {"errorMessage": "broke", "reason": "WHY"}
        with pytest.raises(
            CartritaError, match=r"'c1' \(other\.task\) ended FAILED: broke"
        ) as told:
            result_of(response, "other.task")
        assert (told.value.code, told.value.reason) == (code, "WHY")
        assert told.value.__class__.__mro__[1] is CartritaError

    def test_a_code_of_another_version_is_a_failure_of_the_agent(self):
        with pytest.raises(AgentFailed, match="does not say why"):
            result_of({"taskId": "c", "status": "FAILED", "errorCode": "NEW"}, "other.task")

    def test_what_may_be_tried_again_stays_so(self):
        with pytest.raises(NetworkFailed) as told:
            result_of({"taskId": "c", "status": "FAILED", "errorCode": "NETWORK_ERROR"}, "t")
        assert told.value.retryable
