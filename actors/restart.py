"""When a child that died is started again, in OTP's words. Pure: no clock, no I/O."""

import random
from collections import deque
from dataclasses import dataclass

from cartrita.declare import Restart

FIRST_DELAY = 0.05
LONGEST_DELAY = 5.0
JITTER = 0.2


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """More than `intensity` restarts within `period` seconds, and the supervisor gives up.

    Attributes:
        restart: `permanent` always restarts, `transient` only after a crash, `temporary` never.
        first_delay: Seconds before the second restart in a row; the first is immediate. Then
            0.05, 0.1, 0.2, 0.4, … up to `longest_delay`, each ± 20 %.
    """

    restart: Restart = "permanent"
    intensity: int = 5
    period: float = 10.0
    first_delay: float = FIRST_DELAY
    longest_delay: float = LONGEST_DELAY


class RestartWindow:
    """The restarts of one child that still count."""

    def __init__(self, policy: RestartPolicy, randomness: random.Random) -> None:
        self._policy, self._random = policy, randomness
        self._deaths: deque[float] = deque()
        self.restarts = 0

    def died(self, now: float, *, crashed: bool = True) -> float | None:
        """Note a death and return the seconds to wait before the restart; None to give up."""
        policy = self._policy
        if policy.restart == "temporary" or (policy.restart == "transient" and not crashed):
            return None
        while self._deaths and self._deaths[0] <= now - policy.period:
            self._deaths.popleft()
        self._deaths.append(now)
        if len(self._deaths) > policy.intensity:
            return None
        self.restarts += 1
        return self._delay(len(self._deaths))

    def _delay(self, deaths: int) -> float:
        """Return the pause after so many deaths within the period."""
        if deaths <= 1:
            return 0.0
        delay = min(self._policy.first_delay * 2.0 ** (deaths - 2), self._policy.longest_delay)
        return delay * self._random.uniform(1 - JITTER, 1 + JITTER)
