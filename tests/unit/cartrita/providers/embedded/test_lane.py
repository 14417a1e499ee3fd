"""Tests of cartrita/providers/embedded/lane.py."""

import asyncio
import threading

import pytest

from cartrita.errors import QueueFull
from cartrita.providers.embedded.lane import Lane


async def test_runs_one_piece_of_work_at_a_time():
    lane = Lane("test", callers=4)
    begun, go, order = threading.Event(), threading.Event(), []

    def first():
        begun.set()
        assert go.wait(5)
        order.append("first")

    slow = asyncio.create_task(lane.run(first))
    assert await asyncio.to_thread(begun.wait, 5)
    quick = asyncio.create_task(lane.run(order.append, "second"))
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(slow, quick)
    assert order == ["first", "second"]


async def test_work_of_a_cancelled_caller_never_starts():
    lane = Lane("test", callers=4)
    begun, go, ran = threading.Event(), threading.Event(), []

    def first():
        begun.set()
        assert go.wait(5)

    slow = asyncio.create_task(lane.run(first))
    assert await asyncio.to_thread(begun.wait, 5)
    waiting = asyncio.create_task(lane.run(ran.append, 1))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    await slow
    await lane.run(ran.append, 2)
    assert ran == [2]


def test_refuses_more_callers_than_it_has_places():
    lane = Lane("test", callers=1)
    with lane.place():
        with (
            pytest.raises(QueueFull, match="'test' already has 1 callers") as refused,
            lane.place(),
        ):
            pass
        assert refused.value.retry_after
    with lane.place():
        pass


async def test_errors_of_the_work_reach_the_caller():
    with pytest.raises(ZeroDivisionError):
        await Lane("test", callers=1).run(lambda: 1 / 0)
