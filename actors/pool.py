"""How many hosts a group of agents should have. Pure: no clock, no I/O.

Two numbers decide. What the backlog *asks for* is the hosts that would drain it within
`target_wait` seconds: by Little's law, n hosts drain it in waiting * service / (n * concurrency).
What *would do* is that, or the hosts that what runs fills, whichever is more. The size grows
towards the first and shrinks towards the second; as the second is never less than the first,
a load that stays the same moves it in one direction only, and then no more.
"""

from dataclasses import dataclass
from math import ceil

SHRINK_AFTER = 30.0
"""Seconds before a step down; longer than a usual pause between two bursts, because a host takes
seconds to start."""


@dataclass(frozen=True, slots=True)
class PoolBounds:
    """The fewest and the most hosts.

    Raises:
        ValueError: It does not hold that 0 <= least <= most and most >= 1.
    """

    least: int
    most: int

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most or self.most < 1:
            raise ValueError(
                f"A pool needs 0 <= least <= most and most >= 1, not {self.least!r} and "
                f"{self.most!r}; order both at once where one must pass the other."
            )

    def clamp(self, hosts: int) -> int:
        """Return the number within the bounds that is nearest."""
        return max(self.least, min(hosts, self.most))


@dataclass(frozen=True, slots=True)
class Load:
    """What a group has to do.

    Attributes:
        waiting: Tasks in the mailbox.
        running: Tasks at work.
        concurrency: Tasks that one host runs at a time.
        service: Mean seconds a task takes, measured; 0 for unknown.
    """

    waiting: int
    running: int
    concurrency: int
    service: float

    def asks(self, target_wait: float) -> int:
        """Return how many hosts would drain what waits within `target_wait` seconds.

        Never more than there are tasks for, however long they take: those that wait while the
        first host starts ask for no second one. Tasks of unknown length are thought to take
        `target_wait` each.
        """
        backlog = self.waiting * (self.service or target_wait) / (self.concurrency * target_wait)
        return ceil(min(backlog, (self.waiting + self.running) / self.concurrency))

    def needs(self, target_wait: float) -> int:
        """Return how many hosts would do; 0 only when there is nothing at all."""
        return max(self.asks(target_wait), ceil(self.running / self.concurrency))


class _Held:
    """Tells when something has held for so many seconds; then it begins anew."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def note(self, now: float, *, holds: bool) -> bool:
        """Note whether it holds now; True when it has held long enough."""
        if not holds:
            self._since = None
            return False
        since = now if self._since is None else self._since
        enough = now - since >= self._seconds
        self._since = now if enough else since
        return enough


class PoolSize:
    """The number of hosts of one group, as its load changes.

    Args:
        bounds: The fewest and the most, until `order` says otherwise.
        up_after: Seconds for which the backlog must ask for more.
        down_after: Seconds throughout which fewer must do, before each single step down.
        target_wait: Seconds in which a backlog should drain.
    """

    def __init__(
        self,
        bounds: PoolBounds,
        *,
        up_after: float = 1.0,
        down_after: float = SHRINK_AFTER,
        target_wait: float = 1.0,
    ) -> None:
        if target_wait <= 0:
            raise ValueError(f"target_wait must be > 0 seconds, not {target_wait!r}")
        self.bounds = bounds
        self._target_wait = target_wait
        self._behind, self._spare = _Held(up_after), _Held(down_after)

    def order(self, *, least: int | None = None, most: int | None = None) -> PoolBounds:
        """Set the bounds an operator wants, and return them; the one not given stays.

        Raises:
            ValueError: They would not be bounds; the present ones stay.
        """
        present = self.bounds
        self.bounds = PoolBounds(
            present.least if least is None else least, present.most if most is None else most
        )
        return self.bounds

    def decide(self, now: float, load: Load, hosts: int) -> int:
        """Return how many hosts there should be.

        Ask often: what the load was between two looks is not known.

        Args:
            now: Monotonic seconds.
            load: What there is to do.
            hosts: How many there are, those that are starting included.
        """
        asked, enough = load.asks(self._target_wait), load.needs(self._target_wait)
        grow = self._behind.note(now, holds=asked > hosts)
        shrink = self._spare.note(now, holds=enough < hosts)
        if not hosts and load.waiting:
            wanted = 1
        elif grow:
            wanted = min(asked, 2 * hosts)
        else:
            wanted = hosts - shrink
        return self.bounds.clamp(wanted)
