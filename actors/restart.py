"""When a child that died is started again, and who with it, in OTP's words.

Pure: no clock, no I/O.
"""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cartrita.declare import Restart

Strategy = Literal["one_for_one", "rest_for_one", "one_for_all"]
"""Whom a death concerns: that child, it and those started after it, or all of a team."""

FIRST_DELAY = 0.05
LONGEST_DELAY = 5.0
JITTER = 0.2

DOUBLINGS = 64
"""More of them change nothing, and 2.0 ** 1024 is no float any more."""


def affected(strategy: Strategy, order: Sequence[str], dead: str) -> tuple[str, ...]:
    """Return which other children are to be ended because one died, the last started first.

    They are started again, with it, in start order. As in OTP, a death after which the child
    itself is not started again concerns nobody else: do not ask then.

    Args:
        strategy: The team's.
        order: All children of the team in start order.
        dead: Which of them died.

    Raises:
        ValueError: `dead` is not one of them.
    """
    place = order.index(dead)
    match strategy:
        case "one_for_one":
            return ()
        case "rest_for_one":
            return tuple(reversed(order[place + 1 :]))
        case "one_for_all":
            return tuple(reversed([*order[:place], *order[place + 1 :]]))


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """More than `intensity` restarts within `period` seconds, and the supervisor gives up.

    Attributes:
        restart: `permanent` always restarts, `transient` only after a crash, `temporary` never.
        first_delay: Seconds before the second restart within `period`; the first is immediate.
            Then 0.05, 0.1, 0.2, 0.4, … each ± 20 %. After `period` seconds without a death, the
            next is the first again.
        longest_delay: What the doubling ends at, before the ± 20 %.
    """

    restart: Restart = "permanent"
    intensity: int = 5
    period: float = 10.0
    first_delay: float = FIRST_DELAY
    longest_delay: float = LONGEST_DELAY


class RestartWindow:
    """The restarts of one child that still count.

    Attributes:
        restarts: All there ever were, whether they still count or not.
    """

    def __init__(self, policy: RestartPolicy, randomness: random.Random) -> None:
        self._policy, self._random = policy, randomness
        self._deaths: deque[float] = deque()
        self.restarts = 0

    def died(self, now: float, *, crashed: bool = True) -> float | None:
        """Note a death and return the seconds to wait before the restart.

        Returns:
            None when there is none: `restart` says so, or there were too many. The death that
            was one too many counts as well, so a child that is started again by hand without
            `reset` has used up its restarts.
        """
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

    def reset(self) -> None:
        """Let no death count any more: an operator wants another try."""
        self._deaths.clear()

    def _delay(self, deaths: int) -> float:
        """Return the pause after so many deaths within the period."""
        if deaths <= 1:
            return 0.0
        doubled = self._policy.first_delay * 2.0 ** min(deaths - 2, DOUBLINGS)
        return min(doubled, self._policy.longest_delay) * self._random.uniform(
            1 - JITTER, 1 + JITTER
        )
