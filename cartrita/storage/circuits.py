"""Circuit breakers that all hosts share: which models are left alone for a while.

A circuit is closed while calls go through. `FAILURES` in a row within `WITHIN` seconds open it:
nobody calls for `REST` seconds. Then one call is let through to see. If that fails too, the rest is
twice as long, at most `LONGEST`; if it succeeds, the circuit is closed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

FAILURES = 5
WITHIN = 30.0
REST = 5.0
LONGEST = 60.0
LOOK = 30.0
"""Seconds that the one call has which sees whether all is well; then another may look."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """One circuit. Times are Unix seconds, of whichever host; hosts agree within a second.

    Attributes:
        failures: In a row, since `since`.
        opened: How often in a row it was opened.
        until: When it may be tried again; 0 while it is closed.
        looking: Until when one call has the right to look.
    """

    failures: int = 0
    since: float = 0.0
    opened: int = 0
    until: float = 0.0
    looking: float = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until a call may go through; 0 for now."""
        return max(0.0, max(self.until, self.looking) - now) if self.until else 0.0

    def asked(self, now: float) -> "Circuit":
        """Let a call through, where one may go; where it is open, that call looks."""
        if not self.until or self.wait(now):
            return self
        return replace(self, looking=now + LOOK)

    def failed(self, now: float) -> "Circuit":
        """Count a call that failed."""
        if self.until:
            return self._open(now) if self.looking else self  # others began before it opened
        if now - self.since > WITHIN:
            return replace(self, failures=1, since=now)
        more = self.failures + 1
        return self._open(now) if more >= FAILURES else replace(self, failures=more)

    def _open(self, now: float) -> "Circuit":
        rest = min(REST * 2**self.opened, LONGEST)
        return Circuit(opened=self.opened + 1, until=now + rest)


Change = Callable[[Circuit], Circuit]


class Circuits(Protocol):
    """Circuits by name; losing them matters to nobody."""

    async def change(self, key: str, change: Change) -> tuple[Circuit, Circuit]:
        """Change a circuit as nobody else does at the same time; a new one is closed.

        Args:
            key: Its name.
            change: May be called several times, and has no effect but its result.

        Returns:
            The circuit before and after.

        Raises:
            ServiceUnavailable: They cannot be reached.
        """

    async def close(self) -> None:
        """Let go of them."""
