"""More of what the gateway's routes ask of the tree."""

from typing import Any, Literal, Protocol

from cartrita.cost.budget import Ceiling
from cartrita.protocol.principal import Principal
from cartrita.storage.budgets import By


class Storyteller(Protocol):
    """Rebuilds tasks' stories: owners' for them, all for administrators."""

    async def story(self, task_id: str, who: Principal, until: str | None) -> dict[str, Any]:
        """Return all that is known of a task, or was when a cursor had been told."""


class Effects(Protocol):
    """What tasks did to the outside world.

    Owners see theirs, administrators all; to others they are not found.
    """

    async def list(
        self, who: Principal, state: str, limit: int, before: str | None
    ) -> list[dict[str, Any]]:
        """Return effects in a state, newest tasks first, older than the effect `before`."""

    async def resolve(
        self, effect_id: str, who: Principal, outcome: Literal["done", "not_done"], result: Any
    ) -> dict[str, Any]:
        """Decide about one that nobody knows of, once and for all; return it as it stands then."""


class Approvals(Protocol):
    """Tools that wait for a person: owners see theirs, administrators all."""

    async def list(
        self, who: Principal, state: str, limit: int, before: str | None
    ) -> list[dict[str, Any]]:
        """Return approvals in a state, newest tasks first, older than the approval `before`."""

    async def decide(
        self, approval: str, who: Principal, decision: Literal["approve", "deny"], reason: str
    ) -> dict[str, Any]:
        """Decide about one that is pending, once and for all; return it as it stands then."""


class Budgets(Protocol):
    """What may be spent and what was; owners see theirs, administrators all."""

    async def list(self, who: Principal, limit: int, after: str | None) -> list[dict[str, Any]]:
        """Return budgets in the order of their ids, behind the budget `after`."""

    async def show(self, budget: str, who: Principal) -> dict[str, Any]:
        """Return one, such as `user:0192…`, though nobody needed it yet."""

    async def set(self, budget: str, ceiling: Ceiling, who: Principal) -> dict[str, Any]:
        """Have one hold so much; return it as it stands then."""

    async def reset(self, budget: str, who: Principal) -> dict[str, Any]:
        """Have one follow the settings again; return it as it stands then."""

    async def usage(
        self, by: By, user: str | None, since: float | None, until: float | None
    ) -> dict[str, Any]:
        """Return what was charged to somebody, or to all, between two Unix times, added up."""


class Retries(Protocol):
    """Has tasks that did not complete tried again."""

    async def retry(self, task_id: str, who: Principal) -> dict[str, Any]:
        """Run one as a new task of its owner's, once; return that one's id and status."""


class KeptAnswers(Protocol):
    """Answers that may be given again."""

    async def erase(self, owner: str, who: Principal) -> dict[str, Any]:
        """Delete those of `user:…` or `tenant:…`; tell how many, and when all are gone."""


class Migration(Protocol):
    """The move from v2, for administrators."""

    async def status(self) -> dict[str, Any]:
        """Return how v2's routes are shared out, and how the two sides' answers compared."""

    async def turn(self, who: Principal, reason: str, *, rolled_back: bool) -> dict[str, Any]:
        """Send everything to v2, or share it out again; returns when all gateways do so."""

    async def clear(self, who: Principal) -> None:
        """Begin to count anew."""

    async def routes(self) -> list[dict[str, Any]]:
        """Return what the bridge makes of each route of v2."""
