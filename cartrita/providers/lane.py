"""The way to one provider, or one model of it: its circuit, throttle, and what was observed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from cartrita.clock import Clock
from cartrita.cost.selection import Observed
from cartrita.errors import (
    CartritaError,
    NetworkFailed,
    RateLimitExceeded,
    Reason,
    ServiceUnavailable,
)
from cartrita.providers.ports_chat import Turn
from cartrita.providers.throttle import Throttle
from cartrita.storage.circuits import Change, Circuit, Circuits
from cartrita.telemetry.metrics import PROVIDER_CALLS, labelled

FRESH = 1.0
"""Seconds for which a circuit that was seen closed is not looked at again."""

AWAY = 5.0
"""Seconds for which a store that did not answer is not asked again."""


class ProviderLane:
    """Lets calls through to one provider. Lives in one process; its circuit is everybody's.

    Args:
        key: The provider, and the model where it has many; the circuit's name.
        throttle: The provider's.
        circuits: Where all hosts keep their circuits.
    """

    def __init__(self, key: str, throttle: Throttle, circuits: Circuits, clock: Clock) -> None:
        self._key, self._throttle, self._circuits = key, throttle, circuits
        self._clock = clock
        self._circuit, self._seen = Circuit(), -FRESH
        self._asked_again = 0.0
        self.observed = Observed()

    @property
    def well(self) -> bool:
        """Whether calls are let through, as far as we know here."""
        return not self._circuit.wait(self._clock.now())

    @asynccontextmanager
    async def turn(self, wait: float) -> AsyncIterator[Turn]:
        """Take a turn.

        A failure on the network counts against the provider, what it refuses does not: it
        answered. One that is left before its end tells nothing.
        """
        try:
            await self._ask()
            await self._throttle.enter(wait)
        except NetworkFailed:
            self._count("not_made")
            raise
        began, turn = self._clock.monotonic(), Turn()
        try:
            yield turn
        except (NetworkFailed, RateLimitExceeded) as error:
            limited = isinstance(error, RateLimitExceeded)
            await self._failed(busy=limited or error.reason == Reason.PROVIDER_BUSY)
            raise
        except CartritaError:
            self._count("refused")
            raise
        else:
            await self._answered(self._clock.monotonic() - began, turn.tokens)
        finally:
            self._throttle.leave()

    def forget(self) -> None:
        """Be counted no more among those whose circuit is open."""
        self._throttle.opened(self._key, is_open=False)

    def _count(self, outcome: str) -> None:
        labelled(PROVIDER_CALLS, self._throttle.name, outcome).inc()

    async def _ask(self) -> None:
        now = self._clock.now()
        closed = not self._circuit.until
        if closed and self._clock.monotonic() - self._seen < FRESH:
            return
        before = await self._change(partial(Circuit.asked, now=now))
        rest = before.wait(now)
        if rest:
            raise NetworkFailed(
                f"{self._key!r} failed several times in a row and is left alone for {rest:.1f} s.",
                Reason.CIRCUIT_OPEN,
                retry_after=rest,
            )

    async def _failed(self, *, busy: bool) -> None:
        self._count("busy" if busy else "failed")
        self.observed = self.observed.after(None)
        self._throttle.refused()
        if not busy:  # a provider that counts our calls is well
            await self._change(partial(Circuit.failed, now=self._clock.now()))

    async def _answered(self, seconds: float, tokens: int) -> None:
        self._count("answered")
        self.observed = self.observed.after(seconds)
        self._throttle.answered(seconds, tokens)
        if self._circuit != Circuit():
            await self._change(lambda _: Circuit())

    async def _change(self, change: Change) -> Circuit:
        """Change the circuit, here alone while the others cannot be told; returns what it was."""
        before = self._circuit
        after = change(before)
        if self._clock.monotonic() >= self._asked_again:
            try:
                before, after = await self._circuits.change(self._key, change)
            except ServiceUnavailable:
                self._asked_again = self._clock.monotonic() + AWAY
        self._circuit, self._seen = after, self._clock.monotonic()
        self._throttle.opened(self._key, is_open=bool(after.until))
        return before
