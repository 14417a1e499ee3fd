"""A stretch of a trace, and who is told of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from cartrita.telemetry.trace import trace_id

Value = str | int | float | bool

SERVER, CLIENT, INTERNAL = "server", "client", "internal"
"""Kinds: what answers others, what asks others, what does neither."""

_WHOLE = 1 << 32


@dataclass(slots=True)
class Span:
    """One stretch of work. Nobody changes one.

    Attributes:
        trace: The trace's id, 32 hex digits.
        id: 16 hex digits.
        parent: The span around it; empty for the first of a trace.
        start: Unix seconds, as all times here.
        error: Why it failed, without what tells of a person; None when it did not fail.
    """

    name: str
    trace: str
    id: str
    parent: str
    start: float
    end: float
    kind: str = INTERNAL
    attributes: dict[str, Value] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which traces are told: a part of all, and whatever failed or was slow.

    Attributes:
        ratio: The part of all, 0 to 1. The trace's id decides, so that every process says
            the same.
        slow: Seconds from which on a task or a request is slow.
    """

    ratio: float = 1.0
    slow: float = 5.0

    def picks(self, traceparent: str) -> bool:
        """Tell whether a trace is one of those that are told however they end."""
        return int(trace_id(traceparent)[-8:], 16) < self.ratio * _WHOLE

    def keeps(self, traceparent: str, seconds: float, *, failed: bool) -> bool:
        """Tell whether a trace is told that ended so."""
        return failed or seconds >= self.slow or self.picks(traceparent)


Telling = Callable[[], Iterable[Span]]
"""Makes the spans, when and where there is time for that."""


class Tracer(Protocol):
    """Takes what is to be told, and is never in the way."""

    @property
    def sampling(self) -> Sampling:
        """Which traces are told."""

    def tell(self, telling: Telling, *, special: bool = False) -> None:
        """Have spans told, soon, in another thread. Never waits and never fails.

        Args:
            telling: Makes them.
            special: It failed or was slow: it is dropped last where there is no room.
        """

    def close(self, timeout: float = 2.0) -> None:
        """Send what waits, for as long as that may take; nothing is told after that."""
