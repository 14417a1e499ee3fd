"""Budgets as they stand in the database."""

import asyncpg
import pytest

from cartrita.errors import NotFound, ServiceUnavailable
from cartrita.storage.postgres.budgets import Balance, PostgresBudgets

pytestmark = pytest.mark.database


@pytest.fixture
async def pool(database_url):
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as opened:
        yield opened


async def test_a_budget_holds_what_it_was_given_and_nothing_is_used(pool):
    budgets = PostgresBudgets(pool)
    await budgets.put("tenant:acme", 5)
    assert await budgets.balance("tenant:acme") == Balance(5, 0, 0)


async def test_what_is_used_and_reserved_is_told(pool):
    budgets = PostgresBudgets(pool)
    await budgets.put("tenant:acme", 5)
    await pool.execute("UPDATE budgets SET used_nano_usd = 2, reserved_nano_usd = 1")
    assert await budgets.balance("tenant:acme") == Balance(5, 2, 1)


async def test_a_budget_goes_with_its_reservations_and_no_others(pool):
    budgets = PostgresBudgets(pool)
    for name in ("tenant:acme", "tenant:other"):
        await budgets.put(name, 5)
        await pool.execute("INSERT INTO reservations VALUES (gen_random_uuid(), $1, 1, 0)", name)
    await budgets.drop("tenant:acme")
    with pytest.raises(NotFound, match="tenant:acme"):
        await budgets.balance("tenant:acme")
    assert await budgets.balance("tenant:other") == Balance(5, 0, 0)
    assert await pool.fetchval("SELECT count(*) FROM reservations") == 1


async def test_a_database_that_is_away_is_unavailable(pool):
    await pool.expire_connections()
    pool.terminate()
    with pytest.raises(ServiceUnavailable):
        await PostgresBudgets(pool).balance("tenant:acme")
