"""Threads that can be interrupted, and how many there are."""

import asyncio
import contextvars
import threading

import pytest

from cartrita.clock import ManualClock
from cartrita.threads import PATIENCE, Threads, stopped_here

NAME = contextvars.ContextVar("name", default="nobody")


class Busy:
    """Work that goes on until it is interrupted or let go."""

    def __init__(self, *, deaf=False):
        self.begun, self.left = threading.Event(), threading.Event()
        self.release = threading.Event()
        self._deaf = deaf

    def __call__(self):
        try:
            self.begun.set()
            if self._deaf:
                self._ignore()
            while not self.release.is_set():
                pass
        finally:
            self.left.set()
        return "released"

    def _ignore(self):
        """Heed no interrupt, as one call of C code does."""
        try:
            self.release.wait(20)
        except BaseException:  # noqa: BLE001 - there is only one
            self.release.wait(20)


@pytest.fixture
async def threads():
    pool = Threads(most=2, clock=ManualClock(100.0))
    yield pool
    pool.close()
    await until(lambda: not pool._alive)


def begin(threads, work, among=None):
    return asyncio.create_task(threads.run(work, set() if among is None else among))


async def happened(event):
    """Wait for a thread without blocking the loop."""
    assert await asyncio.to_thread(event.wait, 10)


async def until(true):
    """Wait for something that the loop is told by a thread."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - threads have no asyncio.Event
            await asyncio.sleep(0)


async def cancel(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class TestOutcome:
    async def test_what_the_work_returns_arrives(self, threads):
        assert await threads.run(lambda: 6 * 7, set()) == 42

    @pytest.mark.parametrize(
        ("raised", "seen"),
        [
            (KeyError("a"), KeyError),
            (StopIteration("a"), RuntimeError),
            (SystemExit(1), RuntimeError),
            (KeyboardInterrupt(), RuntimeError),
        ],
    )
    async def test_what_it_raises_arrives_and_ends_no_more_than_the_work(
        self, threads, raised, seen
    ):
        def work():
            raise raised

        with pytest.raises(seen):
            await threads.run(work, set())
        assert await threads.run(lambda: 1, set()) == 1

    async def test_it_sees_the_context_variables_of_whoever_asked(self, threads):
        NAME.set("ada")
        assert await threads.run(NAME.get, set()) == "ada"


class TestInterrupt:
    async def test_cancelling_returns_at_once_and_ends_the_work(self, threads):
        work = Busy()
        running = begin(threads, work)
        await happened(work.begun)
        await cancel(running)
        await happened(work.left)

    async def test_work_that_swallows_errors_is_interrupted_all_the_same(self, threads):
        begun, ended = threading.Event(), threading.Event()

        def work():
            try:
                while True:
                    try:
                        begun.set()
                    except Exception:  # noqa: BLE001 - as careless agents do
                        continue
            finally:
                ended.set()

        running = begin(threads, work)
        await happened(begun)
        await cancel(running)
        await happened(ended)

    async def test_its_owner_may_stop_a_piece(self, threads):
        work, among = Busy(), set()
        running = begin(threads, work, among)
        await happened(work.begun)
        (piece,) = among
        piece.stop()
        piece.stop()
        with pytest.raises(asyncio.CancelledError):
            await running
        await happened(work.left)
        assert among == set()

    async def test_work_can_look_whether_it_is_stopped(self, threads):
        seen = []
        begun = threading.Event()

        def work():
            stopped = stopped_here()
            seen.append(stopped.is_set())
            try:
                begun.set()
                stopped.wait(20)  # wakes up from C code, which nothing else does
            finally:
                seen.append(stopped.is_set())

        running = begin(threads, work)
        await happened(begun)
        await cancel(running)
        await until(lambda: len(seen) == 2)
        assert seen == [False, True]

    async def test_a_thread_that_was_told_takes_nothing_else(self, threads):
        for _ in range(200):  # the interrupt comes at any point, often after the work
            running = begin(threads, lambda: None)
            await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait([running])
            assert await threads.run(lambda: "untouched", set()) == "untouched"

    async def test_nobody_outside_such_work_has_anything_to_look_at(self):
        assert stopped_here() is None


class TestBounds:
    async def test_more_work_than_threads_waits_for_its_turn(self, threads):
        first, second = Busy(), Busy()
        running = [begin(threads, first), begin(threads, second)]
        third = begin(threads, lambda: "third")
        await happened(first.begun)
        await happened(second.begun)
        assert not third.done()
        first.release.set()
        assert await third == "third"
        second.release.set()
        assert await asyncio.gather(*running) == ["released"] * 2

    async def test_whoever_waits_gets_the_place_of_an_interrupted_one(self, threads):
        works = [Busy(), Busy()]
        running = [begin(threads, work) for work in works]
        for work in works:
            await happened(work.begun)
        third = begin(threads, lambda: "third")
        await cancel(running[0])
        assert await third == "third"
        works[1].release.set()
        await running[1]

    async def test_whoever_stops_waiting_takes_no_place(self, threads):
        works = [Busy(), Busy()]
        running = [begin(threads, work) for work in works]
        for work in works:
            await happened(work.begun)
        await cancel(waiting := begin(threads, lambda: "never"))
        assert waiting.cancelled()
        for work in works:
            work.release.set()
        await asyncio.gather(*running)
        assert await asyncio.gather(*(threads.run(lambda: 1, set()) for _ in range(4))) == [1] * 4

    async def test_a_place_that_comes_too_late_is_given_on(self, threads, monkeypatch):
        works = [Busy(), Busy()]
        running = [begin(threads, work) for work in works]
        for work in works:
            await happened(work.begun)
        late, next_one = begin(threads, lambda: "late"), begin(threads, lambda: "next")
        finished = threads.finished

        def finish(*args):
            finished(*args)
            late.cancel()  # its place is there, but it has not run since

        monkeypatch.setattr(threads, "finished", finish)
        works[0].release.set()
        assert await next_one == "next"
        assert late.cancelled()
        works[1].release.set()
        await asyncio.gather(*running)
        assert len(threads._idle) == 2

    async def test_threads_are_used_again(self, threads):
        idents = {await threads.run(threading.get_ident, set()) for _ in range(5)}
        assert len(idents) == 1

    async def test_a_pool_that_keeps_none_ends_them(self):
        pool = Threads(keep=0)
        assert await pool.run(lambda: 1, set()) == 1
        await until(lambda: not pool._alive)


class TestStuck:
    async def test_a_thread_that_does_not_end_is_stuck_after_a_while(self, threads):
        work = Busy(deaf=True)
        running = begin(threads, work)
        await happened(work.begun)
        await cancel(running)
        assert threads.stuck() == 0
        threads.clock.advance(PATIENCE)
        assert threads.stuck() == 1
        work.release.set()
        await until(lambda: not threads.stuck())

    async def test_work_that_nobody_told_to_end_is_not_stuck(self, threads):
        work = Busy()
        running = begin(threads, work)
        await happened(work.begun)
        threads.clock.advance(PATIENCE * 10)
        assert threads.stuck() == 0
        work.release.set()
        assert await running == "released"


def test_a_loop_that_is_closed_does_not_hurt_its_threads(monkeypatch):
    hurt = []
    monkeypatch.setattr(threading, "excepthook", hurt.append)
    work, pool = Busy(), Threads(keep=0)

    async def leave():
        running = begin(pool, work)
        await happened(work.begun)
        (worker,) = pool._alive
        running.cancel()
        return worker

    worker = asyncio.run(leave())
    work.release.set()
    worker._thread.join(10)
    assert not worker._thread.is_alive()
    assert hurt == []
