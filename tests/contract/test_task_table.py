"""What every list of tasks promises."""

from datetime import timedelta

import asyncpg
import pytest

from cartrita.clock import new_id
from cartrita.errors import ServiceUnavailable
from cartrita.journal import Event, Settlement
from cartrita.protocol.task import TaskStatus
from cartrita.storage.listing import Place, Wanted, moment
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from cartrita.storage.memory_listing import InMemoryTasks
from cartrita.storage.postgres.listing import PostgresTasks, query
from tests.support.journals import Durable, admitted, caught_up
from tests.support.records import ADA, EVE, NOW, end, record, response, started

ALL = Wanted()


def ids(tasks):
    return [task.task_id for task in tasks]


class TaskTableContract:
    """Subclass it with fixtures `table`, `journal` and `listed`, which waits for the list."""

    async def test_a_row_tells_all_of_a_task(self, table, journal, listed):
        parent, old = new_id(), new_id()
        (task,) = await admitted(
            journal,
            record(
                accepted_at=NOW + 0.123456,
                priority=7,
                session_id="a session",
                parent=parent,
                retry_of=old,
                principal=EVE,
            ),
        )
        failed = response(task, TaskStatus.FAILED, errorCode="AGENT_ERROR", reason="HOST_DIED")
        failed["metrics"] = {"costUsd": 0.25, "tokensUsed": 12}
        told = Event.end(task.task_id, TaskStatus.FAILED, failed)
        await journal.append(told, Settlement.of(failed))
        await listed()
        (row,) = await table.page(ALL, 5, None)
        assert (row.task_id, row.task_type, row.status) == (
            task.task_id,
            "test.echo",
            TaskStatus.FAILED,
        )
        assert (row.user, row.tenant, row.priority) == ("eve", "eve", 7)
        assert row.accepted_at == moment(NOW + 0.123456)
        assert row.finished_at is not None
        assert (row.session, row.error_code, row.reason) == (
            "a session",
            "AGENT_ERROR",
            "HOST_DIED",
        )
        assert (row.cost_usd, row.tokens) == (0.25, 12)
        assert (row.parent, row.retry_of) == (parent, old)

    async def test_a_task_that_has_not_ended_says_where_it_stands(self, table, journal, listed):
        waiting, running = await admitted(journal, record(), record())
        await journal.append(started(running))
        await listed()
        rows = {row.task_id: row for row in await table.page(ALL, 5, None)}
        assert rows[waiting.task_id].status is TaskStatus.PENDING
        assert rows[running.task_id].status is TaskStatus.RUNNING
        assert all(row.finished_at is None and row.session is None for row in rows.values())

    async def test_pages_go_back_in_time_without_a_gap_or_a_repeat(self, table, journal, listed):
        tasks = await admitted(journal, *(record(accepted_at=NOW + n // 3) for n in range(10)))
        order = sorted(tasks, key=lambda task: (task.accepted_at, task.task_id), reverse=True)
        await listed()
        found, after = [], None
        while page := await table.page(ALL, 4, after):
            found += page
            after = page[-1].place
        assert ids(found) == ids(order)

    async def test_the_order_is_that_of_time_and_not_of_ids(self, table, journal, listed):
        late, early = f"0{new_id()[1:]}", f"f{new_id()[1:]}"
        await admitted(
            journal,
            record(task_id=late, accepted_at=NOW + 1),
            record(task_id=early, accepted_at=NOW),
        )
        await listed()
        assert ids(await table.page(ALL, 5, None)) == [late, early]

    async def test_each_filter_leaves_out_what_does_not_fit(self, table, journal, listed):
        plain, other, hers, talk, later = await admitted(
            journal,
            record(accepted_at=NOW),
            record(accepted_at=NOW + 1, task_type="test.other"),
            record(accepted_at=NOW + 2, principal=EVE),
            record(accepted_at=NOW + 3, session_id="talk"),
            record(accepted_at=NOW + 4),
        )
        await journal.append(end(later))
        await listed()

        async def page(**wanted):
            return ids(await table.page(Wanted(**wanted), 9, None))

        mine = [later.task_id, talk.task_id, other.task_id, plain.task_id]
        assert await page(user=ADA.user) == mine
        assert await page(user="nobody") == []
        assert await page(user=EVE.user) == [hers.task_id]
        assert await page(task_type="test.other") == [other.task_id]
        assert await page(session="talk") == [talk.task_id]
        assert await page(since=NOW + 3) == [later.task_id, talk.task_id]
        assert await page(until=NOW + 1) == [plain.task_id]
        assert await page(since=NOW + 1, until=NOW + 3) == [hers.task_id, other.task_id]
        assert await page(statuses=frozenset({TaskStatus.COMPLETED})) == [later.task_id]
        both = frozenset({TaskStatus.COMPLETED, TaskStatus.PENDING})
        assert await page(user=ADA.user, statuses=both, since=NOW + 1) == mine[:-1]
        assert await page(user=EVE.user, session="talk") == []

    async def test_a_page_goes_on_behind_any_place(self, table, journal, listed):
        (task,) = await admitted(journal, record(accepted_at=NOW))
        await listed()
        at = moment(NOW)
        later = Place(at + timedelta(microseconds=1), "00000000-0000-7000-8000-000000000000")
        assert ids(await table.page(ALL, 5, later)) == [task.task_id]
        assert await table.page(ALL, 5, Place(at, task.task_id)) == []


class TestInMemoryTasks(TaskTableContract):
    """Folds the journal in memory."""

    @pytest.fixture
    def tables(self):
        return JournalTables()

    @pytest.fixture
    def table(self, tables):
        return InMemoryTasks(tables)

    @pytest.fixture
    async def journal(self, tables):
        journal = InMemoryJournal(tables, "system/0")
        await journal.open()
        return journal

    @pytest.fixture
    def listed(self):
        async def at_once():
            """Nothing lags."""

        return at_once


@pytest.mark.database
class TestPostgresTasks(Durable, TaskTableContract):
    """Reads the folded table."""

    @pytest.fixture
    async def pool(self, database_url):
        async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as pool:
            yield pool

    @pytest.fixture
    def table(self, pool):
        return PostgresTasks(pool)

    @pytest.fixture
    def listed(self, sql):
        return lambda: caught_up(sql)

    @pytest.mark.parametrize(
        ("wanted", "index"),
        [
            (Wanted("ada"), "tasks_by_user"),
            (Wanted(), "tasks_by_time"),
            (Wanted(session="talk"), "tasks_by_session"),
        ],
    )
    async def test_a_page_is_read_from_its_index(self, sql, wanted, index):
        await sql.execute("SET enable_seqscan = off; SET enable_sort = off")
        place = Place(moment(NOW), new_id())
        statement, values = query(wanted, 5, place)
        plan = await sql.fetch(f"EXPLAIN {statement}", *values)
        assert index in "\n".join(row[0] for row in plan)

    async def test_a_lost_server_is_said_in_our_words(self, pool, table):
        await pool.close()
        with pytest.raises(ServiceUnavailable) as caught:
            await table.page(ALL, 5, None)
        assert caught.value.retry_after
