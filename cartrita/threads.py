"""Threads whose work can be interrupted: a few per host, for what would block its loop."""

import asyncio
import ctypes
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

from cartrita.clock import Clock, SystemClock

T = TypeVar("T")

MOST = 32
"""Threads of one host; more work than that waits."""

PATIENCE = 5.0
"""Seconds a thread has to end once it was told; after them it is stuck."""


class _Interrupt(BaseException):
    """Raised within work that nobody waits for any more."""


class Piece:
    """One piece of work on its way through a thread.

    Attributes:
        done: Its outcome; cancelled when it is stopped.
        stopped: Set when it is stopped, for work to look at.
        worker: The thread that has it, until its outcome is known.
    """

    __slots__ = ("_context", "_work", "done", "stopped", "worker")

    def __init__(self, work: Callable[[], Any], worker: "_Worker") -> None:
        self._work, self._context = work, copy_context()
        self.worker: _Worker | None = worker
        self.done: asyncio.Future[Any] = worker.loop.create_future()
        self.stopped = threading.Event()

    def perform(self) -> tuple[Any, Exception | None]:
        """Do the work (in its thread) and return what came of it."""
        try:
            return self._context.run(self._work), None
        except StopIteration as error:  # no future can carry it
            return None, RuntimeError(f"The work raised {error!r}")
        except Exception as error:  # noqa: BLE001 - it is told to whoever waits
            return None, error
        except _Interrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - sys.exit() must not end the host
            return None, RuntimeError(f"The work raised {error!r}")

    def stop(self) -> None:
        """Interrupt it, unless it is done; whoever awaits it is cancelled."""
        if self.worker is None or self.worker.told_at is not None:
            return
        self.stopped.set()
        self.worker.tell()
        self.done.cancel()


class _Worker:
    """One thread, as its pool holds it."""

    def __init__(self, pool: "Threads") -> None:
        self.loop = asyncio.get_running_loop()
        self.inbox: SimpleQueue[Piece | None] = SimpleQueue()
        self.told_at: float | None = None
        self._pool = pool
        self._thread = threading.Thread(target=self._main, name="cartrita-work", daemon=True)
        self._thread.start()

    def _main(self) -> None:
        """Work until told to end. At most one interrupt ever comes, at any point in here."""
        try:
            try:
                self._serve()
            finally:
                self._report(self._pool.ended)
        except _Interrupt:
            self._report(self._pool.ended)  # it may have come while that was being told

    def _serve(self) -> None:
        while (piece := self.inbox.get()) is not None:
            _HERE.stopped = piece.stopped
            self._report(self._pool.finished, piece, *piece.perform())
            del piece

    def _report(self, told: Callable[..., None], *args: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody wants to know
            self.loop.call_soon_threadsafe(told, self, *args)

    def tell(self) -> None:
        """Interrupt the thread; it ends instead of taking anything else."""
        self.told_at = self._pool.clock.monotonic()
        ident = ctypes.c_ulong(self._thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(_Interrupt))
        self.inbox.put(None)  # an interrupt does not wake a thread that waits for work


_HERE = threading.local()


def stopped_here() -> threading.Event | None:
    """Return the `stopped` of the piece of work that this thread does, if it does one."""
    return getattr(_HERE, "stopped", None)


class Threads:
    """A bounded pool of daemon threads for one event loop.

    A thread is interrupted by an exception that Python raises in it between two bytecodes, so
    work inside one long call of C code ends only after that call.

    Args:
        most: How many threads there may be, those that were told to end included.
        keep: How many of them stay when there is nothing to do.
    """

    def __init__(self, most: int = MOST, keep: int = MOST, clock: Clock | None = None) -> None:
        self._most, self._keep, self.clock = most, keep, clock or SystemClock()
        self._alive: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._waiters: deque[asyncio.Future[_Worker]] = deque()

    async def run(self, work: Callable[[], T], among: set[Piece]) -> T:
        """Do work in a thread, once there is one, and return what it returns.

        Being cancelled interrupts the work and returns at once.

        Args:
            work: It sees a copy of the caller's context variables.
            among: Has the piece while it runs, so that its owner may stop it.
        """
        worker = await self._free()
        piece = Piece(work, worker)
        among.add(piece)
        worker.inbox.put(piece)
        try:
            result: T = await piece.done
            return result
        finally:
            among.discard(piece)
            piece.stop()

    async def _free(self) -> _Worker:
        if self._idle:
            return self._idle.pop()
        if len(self._alive) < self._most:
            return self._hire()
        waiter: asyncio.Future[_Worker] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._release(waiter.result())
            with suppress(ValueError):
                self._waiters.remove(waiter)
            raise

    def _hire(self) -> _Worker:
        worker = _Worker(self)
        self._alive.add(worker)
        return worker

    def _release(self, worker: _Worker) -> None:
        """Give a thread to whoever waits longest, or let it wait or end."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(worker)
                return
        if len(self._idle) < self._keep:
            self._idle.append(worker)
        else:
            worker.inbox.put(None)

    def finished(self, worker: _Worker, piece: Piece, result: Any, error: Exception | None) -> None:
        """Take note of an outcome."""
        piece.worker = None
        if worker.told_at is None:
            self._release(worker)
        if piece.done.done():
            return
        if error is None:
            piece.done.set_result(result)
        else:
            piece.done.set_exception(error)

    def ended(self, worker: _Worker) -> None:
        """Take note of a thread that ended; told twice when an interrupt came in between."""
        if worker not in self._alive:
            return
        self._alive.remove(worker)
        if any(not waiter.done() for waiter in self._waiters):
            self._release(self._hire())

    def stuck(self) -> int:
        """Return how many threads run on although they were told to end `PATIENCE` ago."""
        limit = self.clock.monotonic() - PATIENCE
        told = [worker.told_at for worker in self._alive if worker.told_at is not None]
        return sum(1 for when in told if when <= limit)

    def close(self) -> None:
        """Let the threads end that have nothing to do, and keep none."""
        self._keep = 0
        for worker in self._idle:
            worker.inbox.put(None)
        self._idle.clear()
