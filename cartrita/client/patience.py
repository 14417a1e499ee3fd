"""When a call is repeated, and when its caller is told instead."""

from random import Random

from cartrita.client.steps import Pause
from cartrita.clock import Clock
from cartrita.errors import (
    CartritaError,
    ChannelLost,
    ErrorCode,
    NetworkFailed,
    RateLimitExceeded,
    Reason,
)

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Pauses grow 0.1, 0.2, 0.4, … 5, 5 seconds, each shortened at random by up to a half."""

_BUSY = {ErrorCode.AGENT_UNAVAILABLE, ErrorCode.QUEUE_FULL, ErrorCode.SERVICE_UNAVAILABLE}


class Patience:
    """How long and how often one caller lets a call be repeated.

    Args:
        seconds: Until the caller wants to be told.
        retries: Failures in a row that are repeated.
    """

    def __init__(self, seconds: float, retries: int, clock: Clock, random: Random) -> None:
        self.seconds, self._retries = seconds, retries
        self._clock, self._random = clock, random
        self._end = clock.monotonic() + seconds
        self._failures = 0

    @property
    def left(self) -> float:
        """Seconds left; below zero when it is over."""
        return self._end - self._clock.monotonic()

    def succeeded(self) -> None:
        """Forget the failures so far."""
        self._failures = 0

    def after(self, error: CartritaError, *, repeatable: bool) -> Pause:
        """Return how long to wait before the next try.

        Raises:
            CartritaError: The same error: there is to be none.
        """
        if self._failures >= self._retries or not passing(error, repeatable=repeatable):
            raise error
        pause = self._pause(error.retry_after)
        if pause >= self.left:
            raise error
        self._failures += 1
        return Pause(pause)

    def _pause(self, asked: float | None) -> float:
        grown = min(FIRST_PAUSE * 2.0**self._failures, LONGEST_PAUSE)
        if asked is None:
            return grown * self._random.uniform(0.5, 1.0)
        return asked + grown * self._random.random()  # never earlier, and not all at once


def passing(error: CartritaError, *, repeatable: bool) -> bool:
    """Tell whether another try may succeed and cannot do harm."""
    if isinstance(error, ChannelLost):
        return repeatable
    if isinstance(error, NetworkFailed | RateLimitExceeded):  # nothing was done
        return True
    return repeatable and error.code in _BUSY and error.reason != Reason.STILL_RUNNING
