"""What guests may spend together."""

from actors.budgetdesk import BudgetDesk
from cartrita.clock import ManualClock
from cartrita.cost.budget import Ceiling, Defaults, Period
from cartrita.protocol.principal import SYSTEM
from cartrita.storage.memory_budgets import BudgetTables, InMemoryBudgets
from cartrita.storage.memory_runtime import InMemoryAudit
from serve_apps.opening import GUESTS, limit_guests


async def test_guests_have_a_day_of_their_own_until_somebody_sets_another():
    audit, clock = InMemoryAudit(), ManualClock()
    desk = BudgetDesk(InMemoryBudgets(BudgetTables(), clock), Defaults(), audit, clock)
    await limit_guests(desk, 1.0)
    await limit_guests(desk, 2.0)
    shown = await desk.show(GUESTS, SYSTEM)
    assert (shown["maxUsd"], shown["period"]) == (1.0, "day")
    await desk.set(GUESTS, Ceiling(5 * 10**9, None, Period.TOTAL), SYSTEM)
    await limit_guests(desk, 1.0)
    assert (await desk.show(GUESTS, SYSTEM))["maxUsd"] == 5.0
