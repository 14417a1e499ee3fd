"""Batches: who is joined with whom, in which order, and who pays for whose failure."""

import asyncio
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.batcher import Batcher
from cartrita.errors import InternalFailure, NetworkFailed, QueueFull
from cartrita.telemetry.log import about, traceparent


class Squares:
    """Squares numbers, batch by batch, each when it is let go."""

    def __init__(self, *, ready: bool = True) -> None:
        self.batches: list[list[int]] = []
        self.cancelled = 0
        self.began = asyncio.Event()
        self.gate = asyncio.Event()
        if ready:
            self.gate.set()

    async def __call__(self, numbers: list[int]) -> list[int]:
        self.batches.append(numbers)
        self.began.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if -1 in numbers:
            raise ValueError("no square of that")
        if -2 in numbers:
            raise NetworkFailed("away")
        return [number * number for number in numbers]


async def test_joins_callers_of_one_moment_and_answers_each_in_order():
    work = Squares()
    batcher = Batcher(work)
    answers = await asyncio.gather(batcher.ask([3, 1]), batcher.ask([2]), batcher.ask([]))
    assert answers == [[9, 1], [4], []]
    assert [sorted(batch) for batch in work.batches] == [[1, 2, 3]]


async def test_what_comes_while_a_batch_runs_is_the_next_one():
    work = Squares(ready=False)
    batcher = Batcher(work)
    first = asyncio.create_task(batcher.ask([1]))
    await work.began.wait()
    rest = [asyncio.create_task(batcher.ask([number])) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    work.gate.set()
    assert [await first, *[await one for one in rest]] == [[1], [4], [9], [16]]
    assert work.batches == [[1], [2, 3, 4]]


async def test_a_batch_works_on_what_its_first_caller_works_on():
    seen, began, gate = [], asyncio.Event(), asyncio.Event()

    async def work(numbers):
        seen.append(traceparent())
        began.set()
        await gate.wait()
        return numbers

    batcher = Batcher(work)

    async def ask(trace):
        about(trace)
        await batcher.ask([1])

    asked = [asyncio.create_task(ask(trace)) for trace in ("one", None)]
    await began.wait()
    asked.append(asyncio.create_task(ask("two")))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*asked)
    assert seen == ["one", "two"]


async def test_a_full_batch_does_not_linger():
    work = Squares()
    batcher = Batcher(work, most=2, linger=3600)
    assert await batcher.ask([1, 2, 3, 4]) == [1, 4, 9, 16]
    assert work.batches == [[1, 2], [3, 4]]


async def test_callers_take_turns():
    work = Squares(ready=False)
    batcher = Batcher(work, most=2)
    many = asyncio.create_task(batcher.ask([1, 2, 3, 4, 5, 6]))
    await work.began.wait()
    few = asyncio.create_task(batcher.ask([7]))
    await asyncio.sleep(0)
    work.gate.set()
    assert await few == [49]
    assert not many.done()
    assert await many == [1, 4, 9, 16, 25, 36]
    assert 7 in work.batches[1]


async def test_a_batch_weighs_no_more_than_it_may_and_what_is_heavier_goes_alone():
    work = Squares()
    batcher = Batcher(work, most=10, weigh=lambda number: number)
    assert await batcher.ask([4, 6, 99, 5, 6]) == [16, 36, 9801, 25, 36]
    assert work.batches == [[4, 6], [99], [5], [6]]


async def test_no_more_lanes_run_than_there_are():
    work = Squares(ready=False)
    batcher = Batcher(work, most=1, lanes=2, linger=0)
    asked = asyncio.create_task(batcher.ask([1, 2, 3, 4]))
    await work.began.wait()
    await asyncio.sleep(0)
    assert work.batches == [[1], [2]]
    work.gate.set()
    assert await asked == [1, 4, 9, 16]


async def test_nobody_fails_for_another_ones_item():
    work = Squares()
    batcher = Batcher(work)
    good, bad, fine = await asyncio.gather(
        batcher.ask([2, 3]), batcher.ask([1, -1]), batcher.ask([4]), return_exceptions=True
    )
    assert (good, fine) == ([4, 9], [16])
    assert isinstance(bad, ValueError)


async def test_a_failure_that_may_pass_is_not_made_worse_by_asking_again_for_each():
    work = Squares()
    batcher = Batcher(work)
    asked = (batcher.ask([2]), batcher.ask([-2]))
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(end) for end in ends] == [NetworkFailed, NetworkFailed]
    assert len(work.batches) == 1


async def test_a_caller_that_leaves_takes_its_items_along():
    work = Squares(ready=False)
    batcher = Batcher(work, queue=3)
    first = asyncio.create_task(batcher.ask([1]))
    await work.began.wait()
    leaving = asyncio.create_task(batcher.ask([2, 3]))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    staying = asyncio.create_task(batcher.ask([4, 5]))
    await asyncio.sleep(0)
    work.gate.set()
    assert (await first, await staying) == ([1], [16, 25])
    assert work.batches == [[1], [4, 5]]


async def test_a_batch_that_nobody_waits_for_is_cancelled_and_others_are_not():
    work = Squares(ready=False)
    batcher = Batcher(work)
    both = [asyncio.create_task(batcher.ask([number])) for number in (1, 2)]
    await work.began.wait()
    both[0].cancel()
    await asyncio.wait([both[0]])
    assert work.cancelled == 0
    both[1].cancel()
    await asyncio.wait([both[1]])
    assert await batcher.ask([]) == []
    await asyncio.sleep(0)
    assert work.cancelled == 1
    work.gate.set()
    assert await batcher.ask([3]) == [9]


async def test_refuses_more_than_may_wait():
    work = Squares(ready=False)
    batcher = Batcher(work, queue=2, name="squares")
    first = asyncio.create_task(batcher.ask([1]))
    await work.began.wait()
    second = asyncio.create_task(batcher.ask([2, 3]))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull, match="squares"):
        await batcher.ask([4])
    work.gate.set()
    assert (await first, await second) == ([1], [4, 9])


async def test_work_that_loses_answers_is_found_out():
    async def forgetful(numbers: list[int]) -> list[int]:
        return numbers[1:]

    with pytest.raises(InternalFailure, match="answered 1 of 2"):
        await Batcher(forgetful).ask([1, 2])


async def test_whoever_waits_when_it_is_closed_is_cancelled():
    work = Squares(ready=False)
    batcher = Batcher(work, most=1)
    asked = [asyncio.create_task(batcher.ask([number])) for number in (1, 2)]
    await work.began.wait()
    batcher.close()
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    assert work.batches == [[1]]


@given(
    st.lists(st.lists(st.integers(0, 99), max_size=7), max_size=9),
    st.integers(1, 5),
    st.integers(1, 3),
)
def test_everybody_gets_the_answers_to_what_they_asked(asked, most, lanes):
    async def run():
        work = Squares()
        batcher = Batcher(work, most=most, lanes=lanes, linger=0)
        answers = await asyncio.gather(*(batcher.ask(items) for items in asked))
        return answers, work.batches

    answers, batches = asyncio.run(run())
    assert answers == [[number * number for number in items] for items in asked]
    assert all(len(batch) <= most for batch in batches)
    assert sorted(chain.from_iterable(batches)) == sorted(chain.from_iterable(asked))
