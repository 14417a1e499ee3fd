"""What every keeper of quarantined tasks promises."""

import asyncio

import pytest

from cartrita.clock import new_id
from cartrita.errors import ServiceUnavailable
from cartrita.journal import END_STEP
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskStatus
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from cartrita.storage.memory_runtime import InMemoryQuarantine
from cartrita.storage.postgres import folding as module
from cartrita.storage.postgres.runtime import _WAITING, PostgresQuarantine
from cartrita.storage.runtime import QuarantinedTask
from tests.support.journals import Durable, admitted, caught_up
from tests.support.records import EVE, NOW, end, record, started


async def quarantined(journal, **changes):
    """Accept a task that ends in quarantine."""
    (task,) = await admitted(journal, record(**changes))
    await journal.append(started(task))
    await journal.append(end(task, TaskStatus.FAILED, reason="QUARANTINED"))
    return task


def ids(tasks):
    return [task.task_id for task in tasks]


class QuarantineContract:
    """Subclass it with fixtures `quarantine`, `stories`, `opened`, and `listed`.

    `opened` opens a shard's writer; awaiting `listed()` waits until the list follows.
    """

    @pytest.fixture
    async def journal(self, opened):
        return await opened("system/0")

    async def test_a_quarantined_task_is_found_at_once(self, quarantine, journal, stories):
        who = Principal("ada", "workspace")
        task = await quarantined(journal, principal=who)
        ended_at = (await stories.story(task.task_id))[-1].at
        assert await quarantine.find(task.task_id) == QuarantinedTask(
            task.task_id, "test.echo", "ada", "workspace", "system/0", NOW, ended_at
        )

    async def test_what_is_listed_is_what_is_found(self, quarantine, journal, listed):
        task = await quarantined(journal)
        await listed()
        assert await quarantine.waiting(None, 5, None) == [await quarantine.find(task.task_id)]

    async def test_other_tasks_are_not_in_quarantine(self, quarantine, journal, listed):
        pending, running, done, failed, dead = await admitted(
            journal, *(record() for _ in range(5))
        )
        await journal.append(started(running))
        await journal.append(end(done))
        await journal.append(end(failed, TaskStatus.FAILED, errorCode="AGENT_ERROR"))
        await journal.append(end(dead, TaskStatus.FAILED, reason="HOST_DIED"))
        await listed()
        for task in (pending, running, done, failed, dead):
            assert await quarantine.find(task.task_id) is None
            assert not await quarantine.settle(task.task_id, "discarded", "ada")
        assert await quarantine.waiting(None, 10, None) == []

    @pytest.mark.parametrize("nobody", ["01920000-0000-7000-8000-00000000dead", "no id", ""])
    async def test_what_is_no_task_is_not_found(self, quarantine, nobody):
        assert await quarantine.find(nobody) is None
        assert not await quarantine.settle(nobody, "discarded", "ada")

    async def test_pages_go_from_the_newest_to_the_oldest(self, quarantine, journal, listed):
        tasks = [await quarantined(journal) for _ in range(5)]
        await listed()
        first = await quarantine.waiting(None, 3, None)
        rest = await quarantine.waiting(None, 3, first[-1].task_id.upper())
        assert ids(first) + ids(rest) == [task.task_id for task in reversed(tasks)]

    async def test_one_s_own_are_told_from_everybody_s(self, quarantine, journal, listed):
        ours, theirs = await quarantined(journal), await quarantined(journal, principal=EVE)
        await listed()
        assert ids(await quarantine.waiting("ada", 5, None)) == [ours.task_id]
        assert ids(await quarantine.waiting("eve", 5, None)) == [theirs.task_id]
        assert ids(await quarantine.waiting("bob", 5, None)) == []
        assert ids(await quarantine.waiting(None, 5, None)) == [theirs.task_id, ours.task_id]

    async def test_a_settled_task_waits_no_more_and_is_still_found(
        self, quarantine, journal, listed
    ):
        tried, dropped, kept = [await quarantined(journal) for _ in range(3)]
        again = new_id()
        assert await quarantine.settle(tried.task_id, "retried", "ada", again)
        assert await quarantine.settle(dropped.task_id, "discarded", "ada")
        await listed()
        assert ids(await quarantine.waiting(None, 5, None)) == [kept.task_id]
        found = [await quarantine.find(task.task_id) for task in (tried, dropped, kept)]
        assert [(task.settled, task.retried_as) for task in found] == [
            ("retried", again),
            ("discarded", None),
            (None, None),
        ]

    async def test_a_task_is_settled_once(self, quarantine, journal):
        task = await quarantined(journal)
        assert await quarantine.settle(task.task_id, "discarded", "ada")
        assert not await quarantine.settle(task.task_id, "discarded", "ada")
        assert not await quarantine.settle(task.task_id, "retried", "eve", new_id())
        assert (await quarantine.find(task.task_id)).settled == "discarded"

    async def test_of_many_who_settle_a_task_at_once_one_does(self, quarantine, journal):
        task, ways = await quarantined(journal), [new_id() if n % 2 else None for n in range(8)]
        results = await asyncio.gather(
            *(
                quarantine.settle(task.task_id, "retried" if way else "discarded", "ada", way)
                for way in ways
            )
        )
        assert sorted(results) == [False] * 7 + [True]
        assert (await quarantine.find(task.task_id)).retried_as == ways[results.index(True)]


class TestInMemoryQuarantine(QuarantineContract):
    """Reads the journal in memory."""

    @pytest.fixture
    def stories(self):
        return JournalTables()

    @pytest.fixture
    def quarantine(self, stories):
        return InMemoryQuarantine(stories)

    @pytest.fixture
    def opened(self, stories):
        async def open_shard(shard):
            journal = InMemoryJournal(stories, shard)
            await journal.open()
            return journal

        return open_shard

    @pytest.fixture
    def listed(self):
        async def at_once():
            """Nothing lags."""

        return at_once


@pytest.mark.database
class TestPostgresQuarantine(Durable, QuarantineContract):
    """Reads the journal's tables."""

    @pytest.fixture
    def quarantine(self, pool):
        return PostgresQuarantine(pool)

    @pytest.fixture
    def listed(self, sql):
        return lambda: caught_up(sql)

    async def test_the_truth_counts_where_the_table_lags(
        self, quarantine, opened, sql, monkeypatch
    ):
        monkeypatch.setattr(module, "FOLD_EVERY", 1e9)
        journal = await opened()
        task = await quarantined(journal)
        assert await quarantine.find(task.task_id)
        assert await quarantine.settle(task.task_id, "discarded", "ada")
        assert await sql.fetchval("SELECT count(*) FROM tasks") == 0
        await journal.close()
        assert await sql.fetchval("SELECT count(*) FROM tasks") == 1
        assert await quarantine.waiting(None, 5, None) == []
        assert (await quarantine.find(task.task_id)).settled == "discarded"

    async def test_it_says_who_settled_a_task(self, quarantine, journal, sql):
        task = await quarantined(journal)
        await quarantine.settle(task.task_id, "discarded", "root")
        await quarantine.settle(task.task_id, "discarded", "eve")
        row = await sql.fetchrow("SELECT by, at <= now() AS past FROM quarantine_settled")
        assert (row["by"], row["past"]) == ("root", True)

    async def test_the_list_is_read_from_its_index(self, quarantine, journal, sql):
        await quarantined(journal)
        await caught_up(sql)
        await sql.execute("SET enable_seqscan = off; SET enable_sort = off")
        plan = await sql.fetch(f"EXPLAIN {_WAITING}", None, 5, None, END_STEP)
        assert "tasks_quarantined" in "\n".join(row[0] for row in plan)

    async def test_a_lost_server_is_said_in_our_words(self, pool, quarantine):
        await pool.close()
        for asked in (
            quarantine.waiting(None, 5, None),
            quarantine.find(new_id()),
            quarantine.settle(new_id(), "discarded", "ada"),
        ):
            with pytest.raises(ServiceUnavailable) as caught:
                await asked
            assert caught.value.retry_after
