"""Budgets without a database, as a journal in memory keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cartrita.clock import Clock, SystemClock
from cartrita.cost.budget import DAY, Balance, Bill, Ceiling, Defaults, Line, Spending, added_up
from cartrita.storage.budgets import Spent
from cartrita.storage.listing import moment

_PLACES = {"user": 1, "agent": 2, "model": 3}


@dataclass(slots=True)
class BudgetTables:
    """What all writers and readers share.

    Attributes:
        held: What each task has reserved of each budget: nano-USD and tokens.
        lines: What was charged: the day, the user, the agent, the model, and how much.
    """

    rows: dict[str, Balance] = field(default_factory=dict)
    held: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    lines: list[tuple[float, str, str, str, Line]] = field(default_factory=list)

    def begin(self, budget: str, ceiling: Ceiling) -> None:
        """Make the budget of a tree of tasks, unless it is there."""
        self.rows.setdefault(budget, Balance(budget, ceiling))

    def open(self, budgets: Sequence[str], defaults: Defaults, now: float) -> list[Balance]:
        """Return budgets as they are now, those that are missing made from their defaults."""
        for budget in budgets:
            row, default = self.rows.get(budget), defaults.of(budget)
            if row is None:
                if default is None:
                    continue
                row = Balance.empty(budget, default, now, own=False)
            elif default is not None and not row.own and row.ceiling != default:
                row = row.holding(default, now, own=False)
            self.rows[budget] = row.at(now)
        return [self.rows[budget] for budget in sorted(budgets) if budget in self.rows]

    def reserve(self, task_id: str, rows: Sequence[Balance], nano_usd: int, tokens: int) -> float:
        """Promise a task its worst case; returns how full the fullest budget was before."""
        self.held[task_id] = {row.id: (nano_usd, tokens) for row in rows}
        for row in rows:
            self.rows[row.id] = row.promised(nano_usd, tokens)
        return max((row.pressure for row in rows), default=0.0)

    def pressure(self, task_id: str, now: float) -> float:
        """Return how full the fullest budget above a task is without what it was promised."""
        held = self.held.get(task_id, {})
        rows = (
            self.rows[name].at(now).promised(-usd, -count) for name, (usd, count) in held.items()
        )
        return max((row.pressure for row in rows), default=0.0)

    def settle(self, task_id: str, nano_usd: int, tokens: int) -> None:
        """Charge what a task used, and take back what it was promised."""
        for budget, (promised_nano, promised_tokens) in self.held.pop(task_id, {}).items():
            row = self.rows[budget].promised(-promised_nano, -promised_tokens)
            self.rows[budget] = row.charged(nano_usd, tokens)

    def note(self, bill: Bill, at: float) -> None:
        """Keep what a task was charged for."""
        day = at // DAY * DAY
        self.lines += [(day, bill.user, bill.agent, line.model, line) for line in bill.lines]


class InMemoryBudgets:
    """Looks at the same tables and changes them."""

    def __init__(self, tables: BudgetTables, clock: Clock | None = None) -> None:
        self._tables, self._clock = tables, clock or SystemClock()

    async def find(self, budgets: Sequence[str]) -> list[Balance]:
        """Return those of these budgets that there are."""
        return [
            self._tables.rows[budget] for budget in sorted(budgets) if budget in self._tables.rows
        ]

    async def page(self, limit: int, after: str | None) -> list[Balance]:
        """Return budgets in the order of their ids, but no trees of tasks."""
        rows = sorted(self._tables.rows.values(), key=lambda row: row.id)
        shown = (row for row in rows if not row.id.startswith("task:"))
        return [row for row in shown if after is None or row.id > after][:limit]

    async def put(self, budget: str, ceiling: Ceiling) -> Balance:
        """Have a budget hold so much."""
        now = self._clock.now()
        row = self._tables.rows.get(budget) or Balance.empty(budget, ceiling, now, own=True)
        row = self._tables.rows[budget] = row.holding(ceiling, now, own=True).at(now)
        return row

    async def reset(self, budget: str, default: Ceiling | None) -> bool:
        """Have a budget follow the settings again."""
        row = self._tables.rows.get(budget)
        if row is None or not row.own:
            return False
        now = self._clock.now()
        self._tables.rows[budget] = row.holding(default or Ceiling(), now, own=False).at(now)
        return True

    async def spent(self, wanted: Spent) -> list[Spending]:
        """Return what was charged for tasks that have ended."""
        fitting = (
            row
            for row in self._tables.lines
            if wanted.since // DAY * DAY <= row[0] < wanted.until and wanted.user in (None, row[1])
        )
        return list(added_up((_name(wanted, row), row[4]) for row in fitting))


def _name(wanted: Spent, row: tuple[float, str, str, str, Line]) -> str:
    if wanted.by == "day":
        return moment(row[0]).date().isoformat()
    return str(row[_PLACES[wanted.by]])
