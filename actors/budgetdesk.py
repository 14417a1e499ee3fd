"""What people may do about budgets: look at theirs, and set others'."""

from typing import Any

from cartrita.clock import Clock, iso
from cartrita.cost.budget import Balance, Ceiling, Defaults, Spending
from cartrita.errors import NotFound
from cartrita.protocol.principal import Principal
from cartrita.storage.budgets import Budgets, By, Spent
from cartrita.storage.runtime import Audit, AuditEntry

SET, RESET = "SET_BUDGET", "RESET_BUDGET"
"""What the audit log calls them."""

USUAL_SPAN = 30 * 86_400.0
"""Seconds that a look at what was spent goes back."""

Rows = list[dict[str, Any]]
_NANO = 10**9


class BudgetDesk:
    """Where budgets are looked at and set. Lives beside the door.

    Args:
        budgets: Those that somebody needed or set.
        defaults: What the others hold.
        audit: Where each change is noted.
    """

    def __init__(self, budgets: Budgets, defaults: Defaults, audit: Audit, clock: Clock) -> None:
        self._budgets, self._defaults = budgets, defaults
        self._audit, self._clock = audit, clock

    async def list(self, who: Principal, limit: int = 50, after: str | None = None) -> Rows:
        """Return budgets in the order of their ids: the user's and the tenant's, or for admins all.

        Args:
            who: Who asks.
            limit: How many at most.
            after: The last budget of the page before.
        """
        if who.admin:
            rows = await self._budgets.page(limit, after)
        else:
            mine = sorted((f"user:{who.user}", f"tenant:{who.tenant}"))
            found = [await self._find(budget) for budget in mine if budget > (after or "")]
            rows = [row for row in found if row is not None][:limit]
        return [self._row(row) for row in rows]

    async def show(self, budget: str, who: Principal) -> dict[str, Any]:
        """Return a budget.

        Raises:
            NotFound: It is somebody else's.
        """
        if not who.admin and budget not in (f"user:{who.user}", f"tenant:{who.tenant}"):
            raise NotFound(f"There is no budget {budget!r} of yours.")
        return self._row(await self._find(budget) or Balance(budget, Ceiling(), own=False))

    async def _find(self, budget: str) -> Balance | None:
        """Return a budget; one that nobody needed yet as it will be, if it has a default."""
        found, now = await self._budgets.find([budget]), self._clock.now()
        default = self._defaults.of(budget)
        if not found:
            return Balance.empty(budget, default, now, own=False) if default else None
        row = found[0]
        if default is not None and not row.own:
            row = row.holding(default, now, own=False)
        return row

    async def set(self, budget: str, ceiling: Ceiling, who: Principal) -> dict[str, Any]:
        """Have a budget hold so much, whatever is used of it, and return it as it stands then."""
        row = await self._budgets.put(budget, ceiling)
        usd = None if ceiling.nano_usd is None else ceiling.nano_usd / _NANO
        told = {"maxUsd": usd, "maxTokens": ceiling.tokens, "period": ceiling.period.value}
        await self._note(SET, budget, who, told)
        return self._row(row)

    async def reset(self, budget: str, who: Principal) -> dict[str, Any]:
        """Have a budget follow the settings again, and return it as it stands then.

        Raises:
            NotFound: Nobody had set it.
        """
        if not await self._budgets.reset(budget, self._defaults.of(budget)):
            raise NotFound(f"Nobody has set the budget {budget!r}.")
        await self._note(RESET, budget, who, {})
        return self._row(await self._find(budget) or Balance(budget, Ceiling(), own=False))

    async def usage(
        self,
        by: By,
        user: str | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> dict[str, Any]:
        """Return what was charged for tasks that have ended, added up by names.

        Args:
            by: Which names.
            user: Whose; everybody's when None.
            since: Unix seconds; 30 days before the end by default.
            until: Unix seconds; now by default.
        """
        end = self._clock.now() if until is None else until
        wanted = Spent(by, user, end - USUAL_SPAN if since is None else since, end)
        rows = await self._budgets.spent(wanted)
        return {
            "by": wanted.by,
            "since": iso(wanted.since),
            "until": iso(wanted.until),
            "rows": [_spending(row) for row in rows],
            "costUsd": sum(row.nano_usd for row in rows) / _NANO,
            "tokensUsed": sum(row.tokens for row in rows),
        }

    async def _note(self, action: str, budget: str, who: Principal, detail: dict[str, Any]) -> None:
        now = self._clock.now()
        await self._audit.note(AuditEntry(now, who.user, action, budget, "done", detail))

    def _row(self, row: Balance) -> dict[str, Any]:
        row = row.at(self._clock.now())
        most, ends = row.ceiling, row.resets_at
        return {
            "budgetId": row.id,
            "maxUsd": None if most.nano_usd is None else most.nano_usd / _NANO,
            "maxTokens": most.tokens,
            "usedUsd": row.used_nano / _NANO,
            "usedTokens": row.used_tokens,
            "reservedUsd": row.reserved_nano / _NANO,
            "reservedTokens": row.reserved_tokens,
            "pressure": round(row.pressure, 6),
            "period": most.period.value,
            "resetsAt": None if ends is None else iso(ends),
            "isSet": row.own,
        }


def _spending(row: Spending) -> dict[str, Any]:
    return {
        "name": row.name,
        "tasks": row.tasks,
        "modelCalls": row.calls,
        "cacheHits": row.cached,
        "costUsd": row.nano_usd / _NANO,
        "tokensUsed": row.tokens,
    }
