"""Has one host work on what several are asked at once, and the others wait for its answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from cartrita.errors import ServiceUnavailable
from cartrita.storage.leases import Leases

T = TypeVar("T")

LEASE = 3.0
"""Seconds after which a host that says nothing more is taken for dead, and waited for no longer."""

BEAT = 1.0
"""Seconds between two signs of life."""

FIRST_LOOK, LONGEST_LOOK = 0.02, 0.5
"""Seconds until those who wait look, and between two looks later on."""


class Turns:
    """One turn for each question, among hosts that share leases.

    Whatever goes wrong here costs a second call and nothing else.

    Args:
        leases: Who is at what.
        wait: The most seconds that a host waits for another.
    """

    def __init__(self, leases: Leases, wait: float) -> None:
        self._leases, self._wait = leases, wait
        self._giving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def turn(
        self,
        key: str,
        patience: float,
        look: Callable[[], Awaitable[T | None]],
        shown: Callable[[], Awaitable[None]],
    ) -> AsyncIterator[T | None]:
        """Return another host's answer; None to work for oneself, while others wait.

        Args:
            key: Of the question.
            patience: The most seconds to wait for another.
            look: Returns the answer, when it is where others find it.
            shown: Ends when our own answer is there.
        """
        mark, alone = None, False
        try:
            mark = await self._leases.take(key, LEASE)
        except ServiceUnavailable:
            alone = True
        if mark is None:
            most = min(patience, self._wait)
            yield None if alone else await self._others(key, most, look)
            return
        beating = asyncio.create_task(self._beat(key, mark))
        try:
            yield None
        finally:
            beating.cancel()
            task = asyncio.create_task(self._give(key, mark, shown))
            self._giving.add(task)
            task.add_done_callback(self._giving.discard)

    async def close(self) -> None:
        """End what is left to do, and let go of the leases."""
        while self._giving:
            await asyncio.wait(tuple(self._giving))
        await self._leases.close()

    async def _others(
        self, key: str, patience: float, look: Callable[[], Awaitable[T | None]]
    ) -> T | None:
        """Wait for an answer, for as long as somebody is at it."""
        pause = FIRST_LOOK
        with suppress(TimeoutError, ServiceUnavailable):
            async with asyncio.timeout(patience):
                while True:
                    held = await self._leases.held(key)  # before: it is given up after the answer
                    answer = await look()
                    if answer is not None or not held:
                        return answer
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_LOOK)
        return None

    async def _beat(self, key: str, mark: str) -> None:
        ours = True
        while ours:
            await asyncio.sleep(BEAT)
            with suppress(ServiceUnavailable):
                ours = await self._leases.extend(key, mark, LEASE)

    async def _give(self, key: str, mark: str, shown: Callable[[], Awaitable[None]]) -> None:
        with suppress(ServiceUnavailable):
            await shown()
            await self._leases.give(key, mark)
