"""Budgets as they stand in the database, and what was charged."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from cartrita.cost.budget import Balance, Ceiling, Period, Spending
from cartrita.storage.budgets import By, Spent
from cartrita.storage.listing import moment
from cartrita.storage.postgres.outage import lend

_COLUMNS = """id, max_nano_usd, max_tokens, used_nano_usd, used_tokens, reserved_nano_usd,
    reserved_tokens, period IS NOT NULL AS daily, resets_at, own"""
_FIND = f"SELECT {_COLUMNS} FROM budgets WHERE id = ANY ($1) ORDER BY id"  # noqa: S608
_PAGE = f"""SELECT {_COLUMNS} FROM budgets
    WHERE id > $2 AND id NOT LIKE 'task:%' ORDER BY id LIMIT $1"""  # noqa: S608
# Its row may be locked by an admission, which this waits for. A budget that changes its period
# keeps what is used of it.
_SET = """max_nano_usd = $2, max_tokens = $3, own = $5,
    period = CASE WHEN $4 THEN interval '1 day' END,
    resets_at = CASE WHEN $4 THEN coalesce(b.resets_at, next_day()) END"""
_PUT = f"""
INSERT INTO budgets AS b (id, max_nano_usd, max_tokens, own, period, resets_at)
VALUES ($1, $2, $3, $5, CASE WHEN $4 THEN interval '1 day' END, CASE WHEN $4 THEN next_day() END)
ON CONFLICT (id) DO UPDATE SET {_SET} RETURNING {_COLUMNS}"""  # noqa: S608
_RESET = f"UPDATE budgets b SET {_SET} WHERE id = $1 AND own RETURNING id"  # noqa: S608
_NAMES: dict[By, str] = {
    "model": "model",
    "agent": "agent",
    "user": "user_id",
    "day": "day::text",
}
_SPENT = """
SELECT {name} AS name, sum(tasks)::bigint AS tasks, sum(calls)::bigint AS calls,
       sum(cached)::bigint AS cached, sum(nano_usd)::bigint AS nano_usd,
       sum(tokens)::bigint AS tokens
FROM usage WHERE ($1::text IS NULL OR user_id = $1)
    AND day >= ($2::timestamptz AT TIME ZONE 'UTC')::date
    AND day::timestamp < $3::timestamptz AT TIME ZONE 'UTC'
GROUP BY 1 ORDER BY {name} COLLATE "C" """


class PostgresBudgets:
    """Sets budgets and looks at them.

    Args:
        pool: Connections to the migrated database.
        timeout: Seconds that one question may take, waiting for a connection included.
    """

    def __init__(self, pool: asyncpg.Pool, timeout: float = 5.0) -> None:
        self._pool, self._timeout = pool, timeout

    async def find(self, budgets: Sequence[str]) -> list[Balance]:
        """Return those of these budgets that there are, in the order of their ids."""
        return [_balance(row) for row in await self._fetch(_FIND, list(budgets))]

    async def page(self, limit: int, after: str | None) -> list[Balance]:
        """Return budgets in the order of their ids, but no trees of tasks."""
        return [_balance(row) for row in await self._fetch(_PAGE, limit, after or "")]

    async def put(self, budget: str, ceiling: Ceiling) -> Balance:
        """Have a budget hold so much, whatever is used of it."""
        rows = await self._fetch(_PUT, budget, *_values(ceiling), True)
        return _balance(rows[0])

    async def reset(self, budget: str, default: Ceiling | None) -> bool:
        """Have a budget follow the settings again; False when nobody had set it."""
        values = _values(default or Ceiling())
        return bool(await self._fetch(_RESET, budget, *values, False))

    async def spent(self, wanted: Spent) -> list[Spending]:
        """Return what was charged for tasks that have ended, in the order of the names."""
        statement = _SPENT.format(name=_NAMES[wanted.by])
        between = moment(wanted.since), moment(wanted.until)
        rows = await self._fetch(statement, wanted.user, *between)
        return [Spending(**dict(row)) for row in rows]

    async def drop(self, budget: str) -> None:
        """Forget a budget, and what is reserved of it."""
        async with (
            lend(self._pool, self._timeout, "The budgets") as connection,
            connection.transaction(),
        ):
            await connection.execute("DELETE FROM reservations WHERE budget_id = $1", budget)
            await connection.execute("DELETE FROM budgets WHERE id = $1", budget)

    async def _fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        async with lend(self._pool, self._timeout, "The budgets") as connection:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *values)
        return rows


def _values(ceiling: Ceiling) -> tuple[int | None, int | None, bool]:
    return ceiling.nano_usd, ceiling.tokens, ceiling.period is Period.DAY


def _balance(row: asyncpg.Record) -> Balance:
    period = Period.DAY if row["daily"] else Period.TOTAL
    ends: datetime | None = row["resets_at"]
    return Balance(
        row["id"],
        Ceiling(row["max_nano_usd"], row["max_tokens"], period),
        row["used_nano_usd"],
        row["used_tokens"],
        row["reserved_nano_usd"],
        row["reserved_tokens"],
        row["own"],
        ends.timestamp() if ends else None,
    )
