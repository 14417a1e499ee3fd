"""How many calls a provider is sent at once: more while it keeps up, half when it does not."""

import asyncio
from collections import deque
from dataclasses import dataclass

from cartrita.clock import Clock
from cartrita.errors import NetworkFailed, Reason
from cartrita.telemetry.metrics import CIRCUITS_OPEN, PROVIDER_LIMIT, PROVIDER_UNDER_WAY, labelled

START = 32.0
LEAST = 1.0
HALF = 0.5
EASE = 0.9
"""What is kept of the window when answers become slow."""

PAUSE = 1.0
"""Seconds in which the window shrinks once: calls that went out together fail together."""

SLOW = 2.0
"""So many times its usual pace is a provider that is overrun."""

USUAL, NOW = 0.02, 0.3
"""How much a new call counts in the usual pace, and in the present one."""

LEARNED_AFTER = 20
"""Calls before a pace is called usual."""

QUEUE = 1024
"""Calls that may wait."""


@dataclass(slots=True)
class Window:
    """The adaptive bound (additive increase, multiplicative decrease). Knows no clock.

    Until it shrinks for the first time it doubles with each round of answers.

    Attributes:
        most: It never grows beyond this.
        limit: How many calls may be under way.
    """

    most: float
    limit: float = START
    usual: float = 0.0
    pace: float = 0.0
    calls: int = 0
    shrunk: float = -PAUSE

    def __post_init__(self) -> None:
        self.limit = min(self.limit, self.most)

    def answered(self, seconds: float, tokens: int, now: float) -> None:
        """Learn from a call that was answered: seconds for each 100 tokens, and for the call."""
        pace = seconds / (1 + tokens / 100)
        self.calls += 1
        first = self.calls == 1
        self.pace = pace if first else self.pace + NOW * (pace - self.pace)
        self.usual = pace if first else self.usual + USUAL * (pace - self.usual)
        if self.calls > LEARNED_AFTER and self.pace > SLOW * self.usual:
            self._shrink(EASE, now)
        else:
            step = 1 / self.limit if self.shrunk >= 0 else 1.0
            self.limit = min(self.most, self.limit + step)

    def refused(self, now: float) -> None:
        """Learn from a provider that said it was too much, or did not answer."""
        self._shrink(HALF, now)

    def _shrink(self, part: float, now: float) -> None:
        if now - self.shrunk >= PAUSE:
            self.limit, self.shrunk = max(LEAST, self.limit * part), now


class Throttle:
    """Lets calls of one provider through, in the order they came. Belongs to one event loop.

    Args:
        name: The provider's, also in metrics.
        most: Calls at once, however well it does.
    """

    def __init__(self, name: str, most: int, clock: Clock) -> None:
        self.name, self._clock = name, clock
        self.window = Window(float(most))
        self.under_way = 0
        self._open: set[str] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self, wait: float) -> None:
        """Wait until one more call may go out; `leave` must follow.

        Raises:
            NetworkFailed: That took longer than `wait` seconds, or too many wait already.
        """
        if not self._waiting and self.under_way < int(self.window.limit):
            self._let_in()
            return
        if len(self._waiting) >= QUEUE:
            raise self._busy()
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(wait):
                await turn
        except BaseException as error:
            self._give_up(turn)
            if isinstance(error, TimeoutError):
                raise self._busy() from None
            raise

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():
            self.leave()  # it was let through in the same moment
        else:
            turn.cancel()
            self._waiting.remove(turn)

    def leave(self) -> None:
        """Make room for the next."""
        self.under_way -= 1
        labelled(PROVIDER_UNDER_WAY, self.name).set(self.under_way)
        while self._waiting and self.under_way < int(self.window.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self._let_in()
                turn.set_result(None)

    def _let_in(self) -> None:
        self.under_way += 1
        labelled(PROVIDER_UNDER_WAY, self.name).set(self.under_way)

    def opened(self, key: str, *, is_open: bool) -> None:
        """Note whether one of the provider's circuits is open."""
        if is_open != (key in self._open):
            (self._open.add if is_open else self._open.discard)(key)
            labelled(CIRCUITS_OPEN, self.name).set(len(self._open))

    def answered(self, seconds: float, tokens: int) -> None:
        """Learn from a call."""
        self.window.answered(seconds, tokens, self._clock.monotonic())
        labelled(PROVIDER_LIMIT, self.name).set(int(self.window.limit))

    def refused(self) -> None:
        """Learn from a call."""
        self.window.refused(self._clock.monotonic())
        labelled(PROVIDER_LIMIT, self.name).set(int(self.window.limit))

    def _busy(self) -> NetworkFailed:
        return NetworkFailed(
            f"{self.name!r} is sent {self.under_way} calls at once, which is what it can take "
            "now; there was no room for another.",
            Reason.PROVIDER_BUSY,
        )
