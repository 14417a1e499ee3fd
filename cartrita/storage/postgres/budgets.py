"""Budgets as they stand in the database."""

from dataclasses import dataclass

import asyncpg

from cartrita.errors import NotFound, ServiceUnavailable
from cartrita.storage.postgres.outage import AWAY


@dataclass(frozen=True, slots=True)
class Balance:
    """What a budget holds, in nano-USD; no ceiling is no limit."""

    ceiling: int | None
    used: int
    reserved: int


class PostgresBudgets:
    """Sets budgets and looks at them."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def put(self, budget: str, ceiling: int) -> None:
        """Make a budget, such as `tenant:acme`, that may hold so many nano-USD for ever."""
        await self._pool.execute(
            "INSERT INTO budgets (id, max_nano_usd) VALUES ($1, $2)", budget, ceiling
        )

    async def balance(self, budget: str) -> Balance:
        """Return what a budget holds.

        Raises:
            NotFound: There is none of that name.
            ServiceUnavailable: The database is away.
        """
        try:
            row = await self._pool.fetchrow("SELECT * FROM budgets WHERE id = $1", budget)
        except AWAY as error:
            raise ServiceUnavailable("The budgets' database is away.", retry_after=1) from error
        if row is None:
            raise NotFound(f"There is no budget {budget!r}.")
        return Balance(row["max_nano_usd"], row["used_nano_usd"], row["reserved_nano_usd"])

    async def drop(self, budget: str) -> None:
        """Forget a budget, and what is reserved of it."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("DELETE FROM reservations WHERE budget_id = $1", budget)
            await connection.execute("DELETE FROM budgets WHERE id = $1", budget)
