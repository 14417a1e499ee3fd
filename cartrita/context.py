"""What an agent knows about the task it is running."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ParamSpec, TypeVar

from cartrita.clock import Clock, SystemClock
from cartrita.errors import TaskTimeout
from cartrita.protocol.principal import SYSTEM, Principal
from cartrita.protocol.task import Budget, Preferences

P = ParamSpec("P")
T = TypeVar("T")

MOST_TOKENS = 10**15
MOST_USD = Decimal(10**9)
"""More than this in one use is a defect of whoever counts."""


@dataclass(frozen=True, slots=True)
class Usage:
    """One metered use of a model.

    Attributes:
        model: As the provider names it.
        tokens_in: Prompt tokens.
        tokens_out: Completion tokens.
        usd: What it cost.
    """

    model: str
    tokens_in: int = 0
    tokens_out: int = 0
    usd: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        counts = all(0 <= n <= MOST_TOKENS for n in (self.tokens_in, self.tokens_out))
        if not (counts and self.usd.is_finite() and 0 <= self.usd <= MOST_USD):
            raise ValueError(f"Nobody can be charged for {self!r}")


@dataclass(slots=True)
class Context:
    """One attempt of one task. Lives in the worker, for as long as the attempt.

    Attributes:
        deadline: In the clock's monotonic seconds.
        attempt: 1 for the first.
        trace: The W3C `traceparent` this attempt belongs to.
    """

    task_id: str
    task_type: str = ""
    principal: Principal = SYSTEM
    session_id: str | None = None
    deadline: float = float("inf")
    attempt: int = 1
    trace: str | None = None
    budget: Budget | None = None
    preferences: Preferences = field(default_factory=Preferences)
    metadata: dict[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    warnings: list[str] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)

    def remaining(self) -> float:
        """Return the seconds left before the deadline.

        Raises:
            TaskTimeout: There are none.
        """
        left = self.deadline - self.clock.monotonic()
        if left <= 0:
            raise TaskTimeout(f"Task {self.task_id!r} ran into its deadline.")
        return left

    def warn(self, text: str) -> None:
        """Tell the caller something that does not make the task fail."""
        self.warnings.append(text)

    def spent(self, usage: Usage) -> None:
        """Meter one use of a model."""
        self.usages.append(usage)

    def measure(self, name: str, value: float) -> None:
        """Report a finite number under `metrics.customMetrics`."""
        if not math.isfinite(value):
            raise ValueError(f"The measure {name!r} is {value!r}; JSON has no form for that")
        self.measures[name] = value

    async def in_thread(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run CPU-bound `work` off the event loop, at most until the deadline.

        The thread itself cannot be stopped: keep one piece of work short, or give the
        agent a host of its own.

        Raises:
            TaskTimeout: The deadline passed first.
        """
        try:
            async with asyncio.timeout(min(self.remaining(), 86_400.0)) as limit:
                return await asyncio.to_thread(work, *args, **kwargs)
        except TimeoutError:
            if not limit.expired():
                raise  # the work's own
            raise TaskTimeout(f"Task {self.task_id!r} ran into its deadline.") from None
