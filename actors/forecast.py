"""How long tasks take, and how long a new one will wait. Pure: no clock, no I/O."""

from dataclasses import dataclass

KEYS = 256
"""The most task types remembered; the one that ended longest ago is forgotten first."""


@dataclass(slots=True)
class _Average:
    """An exponentially weighted moving average.

    The first measurements count alike, until one more would weigh less than `alpha`: a first
    task that had a model to load would else be remembered for dozens of others.
    """

    alpha: float
    value: float = 0.0
    count: int = 0

    def add(self, measured: float) -> None:
        self.count += 1
        self.value += max(self.alpha, 1 / self.count) * (measured - self.value)


class Forecast:
    """What is known about service times.

    Args:
        alpha: The weight of the latest measurement: at 0.1, half of what is known stems from the
            latest seven.
    """

    def __init__(self, alpha: float = 0.1) -> None:
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha must be in (0, 1], not {alpha!r}")
        self._alpha = alpha
        self._services: dict[str, _Average] = {}
        self._overall = _Average(alpha)

    def ended(self, key: str, seconds: float) -> None:
        """Note that a task of a type was at work for so long."""
        known = self._services.pop(key, None) or _Average(self._alpha)
        known.add(seconds)
        self._services[key] = known  # as the latest
        self._overall.add(seconds)
        if len(self._services) > KEYS:
            del self._services[next(iter(self._services))]

    def service(self, key: str) -> float:
        """Return the seconds a task of a type takes; 0.0 while none has ended."""
        known = self._services.get(key)
        return known.value if known else 0.0

    def mean(self) -> float:
        """Return the seconds a task of any type takes; 0.0 while none has ended."""
        return self._overall.value

    def wait(self, ahead_seconds: float, slots: int) -> float:
        """Return how long the work ahead will take to drain.

        Args:
            ahead_seconds: The service times of everything that runs before, added up.
            slots: How many tasks run at a time. Without any, one is on its way.
        """
        return ahead_seconds / max(slots, 1)
