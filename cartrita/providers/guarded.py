"""How calls go out to providers of every kind: in turn, again, a second time beside a slow one."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cartrita.clock import Clock, SystemClock, new_random
from cartrita.errors import CartritaError, NetworkFailed, RateLimitExceeded, Reason
from cartrita.providers.lane import ProviderLane
from cartrita.providers.ports_chat import Lane
from cartrita.providers.throttle import Throttle
from cartrita.storage.circuits import Circuits

T = TypeVar("T")
Work = Coroutine[Any, Any, T]

TRIES = 2
"""Calls of one provider before another is asked, or the task fails."""

PAUSE = 0.3
"""Seconds before the second, ± 50 %, where the provider does not say."""

LONGEST_TURN = 30.0
"""Seconds to wait for a turn with a busy provider."""

MOST_LANES = 256
"""Models and services whose state is remembered here."""

ABANDONED = "abandoned"
"""What a call is cancelled with that was made twice, when the other one answered."""


class Flow:
    """What a process knows of the providers it calls.

    Args:
        circuits: What all hosts know of providers that fail.
        most: Calls to one provider at once, in each process.
        hedge_after: Seconds after which a chat model is called a second time beside a slow call;
            None for never.
    """

    def __init__(
        self,
        circuits: Circuits,
        most: int = 64,
        hedge_after: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.circuits, self.hedge_after = circuits, hedge_after
        self._most, self._clock = most, clock or SystemClock()
        self._lanes: dict[str, ProviderLane] = {}
        self._throttles: dict[str, Throttle] = {}

    def lane(self, provider: str, part: str | None = None) -> ProviderLane:
        """Return the way to a provider, or to one model of it; there is one of each.

        Args:
            provider: Whose calls are bounded together.
            part: What has a circuit of its own: one model may fail while others do not.
        """
        key = f"{provider}:{part}" if part else provider
        if key not in self._lanes:
            while len(self._lanes) >= MOST_LANES:
                self._lanes.pop(next(iter(self._lanes))).forget()
            throttle = self._throttles.get(provider)
            if throttle is None:
                throttle = Throttle(provider, self._most, self._clock)
                self._throttles[provider] = throttle
            self._lanes[key] = ProviderLane(key, throttle, self.circuits, self._clock)
        return self._lanes[key]

    async def close(self) -> None:
        """Let go of the circuits."""
        await self.circuits.close()


@dataclass(frozen=True, slots=True)
class Called(Generic[T]):
    """What a provider answered.

    Attributes:
        calls: How many were made of which the provider may count each.
    """

    answer: T
    calls: int = 1


class Guarded:
    """Makes the calls of one provider that may be made twice.

    Args:
        lane: The way to it.
        hedge_after: Seconds after which a second call is made beside a slow one; None for never.
        patience: Seconds that the provider may ask to wait before it is asked again.
    """

    def __init__(
        self, lane: Lane, *, hedge_after: float | None = None, patience: float = 2.0
    ) -> None:
        self._lane, self._hedge_after, self._patience = lane, hedge_after, patience
        self._random = new_random()

    async def call(self, work: Callable[[], Work[T]]) -> Called[T]:
        """Make one call, and once more where the network failed.

        Raises:
            NetworkFailed: It failed, is left alone for now, or has no room; says for how long
                where it is known.
        """
        return await again(lambda: self._hedged(work), self._random, self._waits)

    def _waits(self, _error: CartritaError) -> float:
        return self._patience

    async def _hedged(self, work: Callable[[], Work[T]]) -> Called[T]:
        calls = 0

        async def once() -> T:
            nonlocal calls
            async with self._lane.turn(LONGEST_TURN):
                calls += 1
                return await work()

        answer = await hedged(once, once, self._hedge_after)
        return Called(answer, calls)


async def again(
    call: Callable[[], Work[T]],
    randomness: random.Random,
    patience: Callable[[CartritaError], float],
) -> T:
    """Make a call, and once more where the network failed and that may be waited for.

    Args:
        call: Makes it.
        randomness: So that those who failed together do not come again together.
        patience: The most seconds to wait before the next call, by the failure; 0 for none.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return await call()
        except (NetworkFailed, RateLimitExceeded) as error:
            pause = error.retry_after or PAUSE * randomness.uniform(0.5, 1.5)
            gone = attempt == TRIES or error.reason == Reason.CIRCUIT_OPEN
            if gone or pause > patience(error):
                raise
        await asyncio.sleep(pause)
    raise AssertionError("the loop returns or raises")


async def hedged(
    first: Callable[[], Work[T]], second: Callable[[], Work[T] | None], after: float | None
) -> T:
    """Make a call, and another beside it where it is slow; the first answer counts.

    Args:
        first: Makes the call.
        second: Makes the other; None where it may not be made.
        after: Seconds; None makes one call.
    """
    if after is None:
        return await first()
    calls = [asyncio.create_task(first())]
    try:
        await asyncio.wait(calls, timeout=after)
        beside = None if calls[0].done() else second()
        if beside:
            calls.append(asyncio.create_task(beside))
        return await _first_answer(calls)
    finally:
        for call in calls:
            call.cancel(ABANDONED if len(calls) > 1 else None)
        await asyncio.gather(*calls, return_exceptions=True)


async def _first_answer(calls: Sequence[asyncio.Task[T]]) -> T:
    """Return what the first call that succeeds answers; the first one's error if none does."""
    waiting = set(calls)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for call in calls:
            if call in done and not call.cancelled() and call.exception() is None:
                return call.result()
    return calls[0].result()
