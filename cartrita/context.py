"""What an agent knows about the task it is running."""

import asyncio
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
        """Report a number under `metrics.customMetrics`."""
        self.measures[name] = value

    async def in_thread(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run CPU-bound `work` off the event loop, at most until the deadline.

        The thread itself cannot be stopped: keep one piece of work short, or give the
        agent a host of its own.
        """
        async with asyncio.timeout(min(self.remaining(), 86_400.0)):
            return await asyncio.to_thread(work, *args, **kwargs)
