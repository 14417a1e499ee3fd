"""What every keeper of orders promises, and how it knows the shards with work to do."""

import asyncio

import pytest

from cartrita.errors import ServiceUnavailable
from cartrita.protocol.task import TaskStatus
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from cartrita.storage.memory_runtime import InMemoryOrders
from cartrita.storage.postgres import folding as module
from cartrita.storage.postgres.runtime import PostgresOrders
from tests.support.journals import Durable, admitted, caught_up, crash
from tests.support.records import end, record, started


class OrdersContract:
    """Subclass it with fixtures `orders` and `opened`, which opens a shard's writer."""

    async def test_at_first_there_are_none(self, orders):
        assert await orders.all() == {}

    @pytest.mark.parametrize(
        "value", [None, True, 0, 1.5, "down; --", [1, [2]], {"least": 2, "ö": {"most": None}}]
    )
    async def test_an_order_is_kept_as_it_was_given(self, orders, value):
        await orders.put("pool/agent:poet", value, "ada")
        assert await orders.all() == {"pool/agent:poet": value}

    async def test_the_last_order_about_a_thing_holds(self, orders):
        await orders.put("a", {"to": 1}, "ada")
        await orders.put("b", {"to": 2}, "ada")
        await orders.put("a", {"to": 3}, "eve")
        assert await orders.all() == {"a": {"to": 3}, "b": {"to": 2}}

    async def test_an_order_is_taken_back(self, orders):
        await orders.put("a", 1, "ada")
        await orders.put("b", 2, "ada")
        for _ in range(2):
            await orders.remove("a")
        assert await orders.all() == {"b": 2}

    async def test_an_order_does_not_change_with_what_it_was_made_of(self, orders):
        value = {"to": [1]}
        await orders.put("a", value, "ada")
        value["to"].append(2)
        (await orders.all())["a"]["to"].append(3)
        assert await orders.all() == {"a": {"to": [1]}}

    async def test_of_many_orders_at_once_one_holds(self, orders):
        await asyncio.gather(*(orders.put("a", number, "ada") for number in range(8)))
        (value,) = (await orders.all()).values()
        assert value in range(8)

    async def test_no_shard_is_busy_where_nothing_was_accepted(self, orders, opened):
        assert await orders.busy_shards() == []
        await opened("system/0")
        assert await orders.busy_shards() == []

    async def test_a_shard_is_busy_until_its_last_task_ended(self, orders, opened):
        journal = await opened("system/0")
        one, two = await admitted(journal, record(), record())
        assert await orders.busy_shards() == ["system/0"]
        await journal.append(started(one))
        await journal.append(end(one))
        assert await orders.busy_shards() == ["system/0"]
        await journal.append(end(two, TaskStatus.CANCELLED))
        assert await orders.busy_shards() == []

    async def test_each_shard_is_asked_for_itself(self, orders, opened):
        for shard in ("system/1", "intelligence/0", "system/0"):
            journal = await opened(shard)
            (task,) = await admitted(journal, record())
            if shard == "system/0":
                await journal.append(end(task))
        assert await orders.busy_shards() == ["intelligence/0", "system/1"]

    async def test_a_shard_stays_busy_whoever_takes_it_over(self, orders, opened):
        await admitted(await opened("system/0"), record())
        await opened("system/0")
        assert await orders.busy_shards() == ["system/0"]


class TestInMemoryOrders(OrdersContract):
    """Keeps them in a dictionary."""

    @pytest.fixture
    def tables(self):
        return JournalTables()

    @pytest.fixture
    def orders(self, tables):
        return InMemoryOrders(tables)

    @pytest.fixture
    def opened(self, tables):
        async def open_shard(shard):
            journal = InMemoryJournal(tables, shard)
            await journal.open()
            return journal

        return open_shard


@pytest.mark.database
class TestPostgresOrders(Durable, OrdersContract):
    """Keeps them in a table."""

    @pytest.fixture
    def orders(self, pool):
        return PostgresOrders(pool)

    @pytest.mark.parametrize("folded", [True, False], ids=["folded", "not folded"])
    async def test_the_crash_of_a_shard_leaves_it_busy(
        self, orders, opened, sql, monkeypatch, folded
    ):
        if not folded:
            monkeypatch.setattr(module, "FOLD_EVERY", 1e9)
        crashed = await opened("system/0")
        await admitted(crashed, record())
        if folded:
            await caught_up(sql)
        await crash(crashed)
        assert await sql.fetchval("SELECT count(*) FROM tasks") == int(folded)
        assert await orders.busy_shards() == ["system/0"]

    async def test_an_end_that_is_not_folded_counts(self, orders, opened, sql, monkeypatch):
        journal = await opened("system/0")
        (task,) = await admitted(journal, record())
        await caught_up(sql)
        monkeypatch.setattr(module, "FOLD_EVERY", 1e9)
        await journal.append(end(task))
        await crash(journal)
        assert await sql.fetchval("SELECT count(*) FROM tasks WHERE finished_at IS NULL") == 1
        assert await orders.busy_shards() == []

    async def test_it_says_who_gave_an_order(self, orders, sql):
        await orders.put("a", 1, "ada")
        await orders.put("a", 2, "eve")
        row = await sql.fetchrow("SELECT by, at <= now() AS past FROM orders")
        assert (row["by"], row["past"]) == ("eve", True)

    async def test_a_lost_server_is_said_in_our_words(self, pool, orders):
        await pool.close()
        for asked in (orders.all(), orders.put("a", 1, "ada"), orders.remove("a")):
            with pytest.raises(ServiceUnavailable):
                await asked
        with pytest.raises(ServiceUnavailable) as caught:
            await orders.busy_shards()
        assert caught.value.retry_after

    async def test_waiting_for_a_connection_ends(self, pool):
        orders = PostgresOrders(pool, timeout=0.05)
        busy = [await pool.acquire() for _ in range(pool.get_max_size())]
        with pytest.raises(ServiceUnavailable):
            await orders.all()
        for connection in busy:
            await pool.release(connection)
        assert await orders.all() == {}
