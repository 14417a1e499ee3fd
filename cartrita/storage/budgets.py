"""Where budgets are kept, and what was charged, for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from cartrita.cost.budget import Balance, Ceiling, Spending

By = Literal["model", "agent", "user", "day"]


@dataclass(frozen=True, slots=True)
class Spent:
    """Which of what was charged to add up.

    Attributes:
        by: Under which names.
        user: Whose; everybody's when None.
        since: In Unix seconds: the days from this one's on.
        until: In Unix seconds: the days before this one's, or with it where it is in the middle.
    """

    by: By
    user: str | None
    since: float
    until: float


class Budgets(Protocol):
    """Every budget that somebody needed or set. Raises `ServiceUnavailable`."""

    async def find(self, budgets: Sequence[str]) -> list[Balance]:
        """Return those of these budgets that there are, in the order of their ids."""

    async def page(self, limit: int, after: str | None) -> list[Balance]:
        """Return budgets in the order of their ids, but no trees of tasks.

        Args:
            limit: How many at most.
            after: The last id of the page before.
        """

    async def put(self, budget: str, ceiling: Ceiling) -> Balance:
        """Have a budget hold so much, whatever is used of it; return it as it stands then."""

    async def reset(self, budget: str, default: Ceiling | None) -> bool:
        """Have a budget follow the settings again; False when nobody had set it."""

    async def spent(self, wanted: Spent) -> list[Spending]:
        """Return what was charged for tasks that have ended, in the order of the names."""
