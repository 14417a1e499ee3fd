"""A deterministic event loop: virtual time, and processes that can die, stop and be slow."""

import asyncio
import contextvars
import hashlib
import heapq
import random
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

STEP = 1e-6
"""Seconds that one turn of the loop takes, so that no work takes no time at all."""

MOST_TURNS = 50_000
"""Turns within one second, beyond which somebody spins."""

TIE = 1e-7
"""Timers are late by up to so many seconds, so that those of one instant come in any order."""

OUTSIDE = contextvars.Context()
"""What runs here belongs to no process: the network, the database, the faults."""

PROCESS: contextvars.ContextVar["Process"] = contextvars.ContextVar("process")


class Stuck(Exception):
    """Nothing can happen any more, or far too much happens."""


class Trace:
    """What happened, in order: a hash to compare, and the lines if they are asked for."""

    def __init__(self, loop: "SimulationLoop", *, verbose: bool = False) -> None:
        self._loop, self.closed = loop, False
        self._hash = hashlib.blake2b(digest_size=12)
        self.lines: deque[str] = deque(maxlen=None if verbose else 400)

    def note(self, *parts: Any) -> None:
        """Add what happened now; parts must read the same in every run of a seed."""
        if self.closed:
            return
        line = f"{self._loop.elapsed:10.6f} {' '.join(map(str, parts))}"
        self._hash.update(line.encode())
        self.lines.append(line)

    def digest(self) -> str:
        """Return the hash of everything noted so far."""
        return self._hash.hexdigest()


class Process:
    """A simulated operating system process: whatever runs in its context is its own.

    Attributes:
        frozen: It is stopped for good: it blocks.
        held: What is due and waits because the process is stopped.
        born: When it began, in virtual seconds.
        owner: With whom it dies.
        content: What runs in it, for those who look inside.
        tasks: Everything it runs or ran, in the order of creation.
    """

    def __init__(self, loop: "SimulationLoop", name: str, pid: int) -> None:
        self._loop, self.name, self.pid = loop, name, pid
        self.alive, self.stopped, self.born = True, False, loop.elapsed
        self.frozen, self.frozen_at = False, 0.0
        self.held: deque[asyncio.Handle] = deque()
        self.tasks: list[asyncio.Task[Any]] = []
        self.content: Any = None
        self.owner: Process | None = None
        self.on_death: list[Callable[[], None]] = []
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, self)

    def start(self, work: Coroutine[Any, Any, Any], name: str | None = None) -> asyncio.Task[Any]:
        """Run a coroutine in this process."""
        return self._loop.create_task(work, name=name, context=self.context.copy())

    def kill(self) -> None:
        """End it as `kill -9` does: nothing of it runs any more, not even a `finally`."""
        if not self.alive:
            return
        self.alive = False
        self._loop.trace.note("killed", self.name)
        self.held.clear()
        for tell in self.on_death:
            tell()

    def stop(self) -> None:
        """Hold it as SIGSTOP does."""
        self.stopped = True

    def takes(self, handle: asyncio.Handle) -> bool:
        """Tell whether something that is due may run now; keeps it for later if it may then."""
        if self.stopped and self.alive:
            self.held.append(handle)
        return self.alive and not self.stopped

    def freeze(self) -> None:
        """Block for good, as a loop in native code does: only a kill ends it."""
        self.frozen, self.frozen_at = True, self._loop.elapsed
        self.stop()

    def resume(self) -> None:
        """Let it go on with all that became due, unless it is blocked."""
        if self.frozen:
            return
        self.stopped = False
        self._loop.take_back(self.held)

    def living(self) -> list[asyncio.Task[Any]]:
        """Return what still runs in it."""
        self.tasks = [task for task in self.tasks if not task.done()]
        return self.tasks

    def names(self) -> list[str]:
        """Return the names of the functions that still run in it."""
        works = (task.get_coro() for task in self.living())
        return [str(getattr(work, "__qualname__", work)) for work in works]

    def bury(self) -> None:
        """Take apart what a dead process left in memory, so that it goes quietly."""
        for task in self.tasks:
            if not task.done():
                task._log_destroy_pending = False
                self.context.run(_close, task.get_coro())
        self.tasks.clear()


def _close(work: Any) -> None:
    for _ in range(4):  # a `finally` that awaits goes on once more
        try:
            work.close()
        except RuntimeError:
            continue
        except Exception:  # noqa: BLE001 - the dead complain about each other
            continue
        return


def current() -> Process | None:
    """Return the process that runs now; None for the world around them."""
    return PROCESS.get(None)


class SimulationLoop(asyncio.BaseEventLoop):
    """An event loop without sockets, threads or real time.

    Handles belong to the process whose context they run in: those of a dead process are
    dropped, those of a stopped one are held.

    Args:
        seed: Decides the order of timers that are due at the same instant.
        limit: Virtual seconds after which nothing may go on.
    """

    def __init__(self, seed: int, *, limit: float = 600.0, verbose: bool = False) -> None:
        super().__init__()
        self._elapsed, self._limit = 0.0, limit
        self._ties = random.Random(f"ties {seed}")
        self._turns, self._second = 0, 0
        self.network: Any = None
        self.trace = Trace(self, verbose=verbose)
        self.failures: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.failures.append(context))
        self.set_task_factory(_create)

    @property
    def elapsed(self) -> float:
        """Virtual seconds since the beginning."""
        return self._elapsed

    def time(self) -> float:
        return self._elapsed

    def call_at(
        self,
        when: float,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when + self._ties.random() * TIE, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def call_later(
        self,
        delay: float,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._elapsed + delay, callback, *args, context=context)

    def call_soon(
        self,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def take_back(self, held: deque[asyncio.Handle]) -> None:
        """Run again what a stopped process held."""
        self._ready.extend(held)
        held.clear()

    def _run_once(self) -> None:
        """Run everything that is due; when nothing is, let time pass until something is."""
        ready, scheduled = self._ready, self._scheduled
        self._forget_cancelled()
        if not ready:
            if not scheduled:
                raise Stuck("Nothing is left to happen, and somebody still waits.")
            self._pass(scheduled[0]._when)
        self._elapsed += STEP
        self._guard()
        now = self._elapsed
        while scheduled and scheduled[0]._when <= now:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(PROCESS)
            if process is None or process.takes(handle):
                handle._run()

    def _pass(self, until: float) -> None:
        if until > self._limit:
            raise Stuck(f"It did not end within {self._limit} virtual seconds.")
        self._elapsed = max(self._elapsed, until)

    def _guard(self) -> None:
        if int(self._elapsed) != self._second:
            self._second, self._turns = int(self._elapsed), 0
        self._turns += 1
        if self._turns > MOST_TURNS:
            raise Stuck(f"Somebody spins: {MOST_TURNS} turns within a second.")

    def _forget_cancelled(self) -> None:
        scheduled = self._scheduled
        if self._timer_cancelled_count > 100 and self._timer_cancelled_count * 2 > len(scheduled):
            for timer in scheduled:
                if timer._cancelled:
                    timer._scheduled = False
            scheduled[:] = [timer for timer in scheduled if not timer._cancelled]
            heapq.heapify(scheduled)
            self._timer_cancelled_count = 0
        while scheduled and scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(scheduled)._scheduled = False

    def run_in_executor(
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run it here and now: there is one thread."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits
            future.set_exception(error)
        return future

    async def create_unix_connection(
        self, factory: Callable[[], Any], path: str, **options: Any
    ) -> tuple[Any, Any]:
        """Connect through the simulated network."""
        return await self.network.connect(factory, path)

    async def create_unix_server(
        self, factory: Callable[[], Any], path: str, **options: Any
    ) -> Any:
        """Listen on the simulated network; the file is for those who look after it."""
        _touch(path)
        return self.network.listen(factory, path)

    def _write_to_self(self) -> None:
        """There is no selector to wake."""

    def _process_events(self, event_list: Any) -> None:
        """There is no selector."""


def _touch(path: str) -> None:
    Path(path).touch()


def _create(
    loop: SimulationLoop, work: Coroutine[Any, Any, Any], context: Any = None
) -> asyncio.Task[Any]:
    """Make a task and note whose it is."""
    task = asyncio.Task(work, loop=loop, context=context)
    process = current() if context is None else context.get(PROCESS)
    if process is not None:
        process.tasks.append(task)
        if len(process.tasks) > 256:
            process.living()
    return task


def run(loop: SimulationLoop, work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine of the world's to its end on a loop."""
    events.set_event_loop(None)
    return loop.run_until_complete(work)
