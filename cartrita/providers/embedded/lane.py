"""Lets one piece of CPU work run at a time."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar, TypeVarTuple, Unpack

from cartrita.errors import QueueFull

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Lane:
    """One thread and a bounded number of callers, shared by every event loop of the process.

    Two forward passes at once are slower than one after the other: they fight for the same
    cores and caches.

    Args:
        name: What the work is, for messages and the thread's name.
        callers: How many may be inside at once, the one at work included.
    """

    def __init__(self, name: str, callers: int) -> None:
        self._name = name
        self._callers = callers
        self._places = threading.Semaphore(callers)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one of the callers' places.

        Raises:
            QueueFull: There is none.
        """
        if not self._places.acquire(blocking=False):
            raise QueueFull(
                f"{self._name!r} already has {self._callers} callers; try again in a second.",
                retry_after=1.0,
            )
        try:
            yield
        finally:
            self._places.release()

    async def run(self, work: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Run `work` in the lane's thread; a cancelled caller's work never starts."""
        return await asyncio.wrap_future(self._thread.submit(work, *args))
