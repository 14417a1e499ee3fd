"""What is kept of tasks that ended, and for how long."""

import asyncio
from itertools import pairwise

import asyncpg
import pytest

from cartrita.clock import new_id
from cartrita.errors import ServiceUnavailable
from cartrita.journal import Event, EventKind, Remnant, Settlement, Verdict
from cartrita.protocol.task import TaskStatus
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from cartrita.storage.memory_runtime import InMemoryQuarantine, InMemoryRetention
from cartrita.storage.postgres import retention as module
from cartrita.storage.postgres.retention import PostgresRetention
from cartrita.storage.postgres.runtime import PostgresQuarantine
from tests.support.journals import Durable, admitted, left
from tests.support.records import ADA, EVE, end, record, retried, started
from tests.support.retention import HOUR, KEEP, FoldedInPostgres, Forgetting


def said(task):
    step = (1 << 32) | 3
    return Event(task.task_id, step, EventKind.STREAM, [[step, "token", 0.0, "hi"]])


class RetentionContract(Forgetting):
    """Subclass it with fixtures `opened`, `stories`, `quarantine`, `retention` and `folded`.

    The retention's clock is `clock`, which stands where the test puts it; awaiting `folded()`
    waits until the table of tasks follows.
    """

    @pytest.fixture
    async def journal(self, opened):
        return await opened()

    async def ended(self, journal, status=TaskStatus.COMPLETED, settlement=None, **changes):
        """Let a task live to its end and return it."""
        (task,) = await admitted(journal, record(**changes))
        for event in (started(task), said(task)):
            await journal.append(event)
        metrics = {"costUsd": 0.25, "tokensUsed": 7}
        told = (
            {"errorCode": "AGENT_ERROR", "reason": "HOST_DIED"} if status.value == "FAILED" else {}
        )
        await journal.append(
            end(task, status, metrics=metrics, result={"a": 1}, **told), settlement
        )
        return task

    async def kinds(self, stories, task):
        return [event.kind.name for event in await stories.story(task.task_id)]

    async def test_nothing_is_forgotten_before_its_time(self, journal, stories, forget):
        task = await self.ended(journal)
        assert await forget(23) == 0
        assert await self.kinds(stories, task) == ["ACCEPTED", "STARTED", "STREAM", "COMPLETED"]

    async def test_what_an_agent_said_goes_first(self, journal, stories, forget):
        task = await self.ended(journal)
        assert await forget(25) > 0
        assert await self.kinds(stories, task) == ["ACCEPTED", "STARTED", "COMPLETED"]
        assert await forget(1) == 0

    async def test_then_the_events_go_and_a_remnant_stays(self, journal, stories, forget):
        task = await self.ended(journal, TaskStatus.FAILED)
        finished_at = (await stories.story(task.task_id))[-1].at
        await forget(49)
        assert await stories.story(task.task_id) == []
        found = await stories.remnant(task.task_id)
        assert found.finished_at == pytest.approx(finished_at, abs=5)
        assert found == Remnant(
            task.task_id,
            "test.echo",
            "ada",
            TaskStatus.FAILED,
            found.finished_at,
            "AGENT_ERROR",
            "HOST_DIED",
            Settlement(250_000_000, 7),
        )

    async def test_at_last_nothing_is_left(self, journal, stories, forget):
        task = await self.ended(journal)
        await forget(97)
        assert await stories.story(task.task_id) == []
        assert await stories.remnant(task.task_id) is None

    async def test_what_is_not_forgotten_is_remembered(self, journal, stories, forget):
        old = await self.ended(journal)
        (pending,) = await admitted(journal, record())
        asked = [old.task_id, pending.task_id, new_id()]
        assert await stories.remembered(asked) == {old.task_id, pending.task_id}
        await forget(49)
        assert await stories.remembered(asked) == {pending.task_id}
        assert await stories.remembered([]) == set()

    async def test_a_task_without_an_end_is_never_forgotten(self, journal, opened, stories, forget):
        (pending, lost) = await admitted(journal, record(), record())
        for event in (started(lost), said(lost), retried(lost)):
            await journal.append(event)
        await forget(10_000)
        assert await self.kinds(stories, pending) == ["ACCEPTED"]
        assert len(await stories.story(lost.task_id)) == 4
        assert await stories.remnant(pending.task_id) is None
        assert await left(await opened()) == [pending.task_id, lost.task_id]

    async def test_only_what_is_due_goes(self, journal, stories, forget):
        old = await self.ended(journal)
        await forget(30)
        assert await self.kinds(stories, old) == ["ACCEPTED", "STARTED", "COMPLETED"]
        assert await stories.remnant(old.task_id)

    async def test_an_id_whose_events_are_forgotten_is_still_taken(
        self, journal, stories, forget, aged
    ):
        task = await self.ended(journal)
        await forget(49)
        for again in (aged(task), aged(record("other", task_id=task.task_id))):
            assert await journal.admit(again) == Verdict("known", task.task_id)
        assert await stories.story(task.task_id) == []

    async def test_an_id_that_is_forgotten_altogether_is_free(self, journal, forget, aged):
        task = await self.ended(journal)
        await forget(97)
        await admitted(journal, aged(task))

    async def test_what_waits_for_a_decision_keeps_its_events(
        self, journal, stories, forget, quarantine
    ):
        (waits, settled) = await admitted(journal, record(), record())
        for task in (waits, settled):
            await journal.append(end(task, TaskStatus.FAILED, reason="QUARANTINED"))
        await quarantine.settle(settled.task_id, "discarded", "root")
        await forget(49)
        assert await self.kinds(stories, waits) == ["ACCEPTED", "FAILED"]
        assert await stories.story(settled.task_id) == []
        await forget(1_000)
        assert await quarantine.find(waits.task_id)
        assert await quarantine.find(settled.task_id) is None
        assert await stories.remnant(settled.task_id) is None


class TestInMemory(RetentionContract):
    @pytest.fixture
    def stories(self):
        return JournalTables()

    @pytest.fixture
    def quarantine(self, stories):
        return InMemoryQuarantine(stories)

    @pytest.fixture
    def retention(self, stories, quarantine, clock):
        return InMemoryRetention(stories, quarantine, clock)

    @pytest.fixture
    def folded(self):
        async def nothing():
            pass

        return nothing

    @pytest.fixture
    def aged(self):
        return lambda task: task

    @pytest.fixture
    def opened(self, stories):
        async def open_shard(shard="system/0"):
            journal = InMemoryJournal(stories, shard)
            await journal.open()
            return journal

        return open_shard


@pytest.mark.database
class TestPostgres(FoldedInPostgres, Durable, RetentionContract):
    @pytest.fixture
    async def pool(self, database_url):
        async with asyncpg.create_pool(database_url, min_size=0, max_size=3) as pool:
            yield pool

    @pytest.fixture
    def quarantine(self, pool):
        return PostgresQuarantine(pool)

    @pytest.fixture
    def retention(self, pool, clock):
        return PostgresRetention(pool, clock)

    @pytest.fixture
    def aged(self, journal, clock):
        """Have the writer live at the retention's time, when the task's id is no longer young."""

        def age(task):
            journal._clock = clock
            return task

        return age

    async def test_many_are_forgotten_a_few_at_a_time(
        self, journal, sql, retention, clock, folded, monkeypatch
    ):
        monkeypatch.setattr(module, "AT_ONCE", 7)
        tasks = [record(str(number)) for number in range(30)]
        await asyncio.gather(*(journal.admit(task) for task in tasks))
        await asyncio.gather(*(journal.append(end(task)) for task in tasks[:25]))
        await folded()
        clock.advance(49 * HOUR)
        left_over, went = [55], 0
        while await retention.forget(KEEP):
            left_over.append(await sql.fetchval("SELECT count(*) FROM task_events"))
            went += 1
        assert (went, left_over[-1]) == (4, 5)
        assert all(0 <= before - after <= 14 for before, after in pairwise(left_over))
        assert await sql.fetchval("SELECT count(*) FROM tasks") == 30

    async def test_of_two_that_would_forget_one_works(self, journal, sql, retention, folded, clock):
        await self.ended(journal)
        await folded()
        clock.advance(49 * HOUR)
        async with sql.transaction():
            await sql.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('cartrita forget', 0))"
            )
            assert await retention.forget(KEEP) == 0
        assert await retention.forget(KEEP) > 0

    async def test_tasks_of_shards_that_nobody_owns_any_more_are_forgotten_too(
        self, opened, stories, forget
    ):
        drained = await opened("intelligence/3")
        task = await self.ended(drained)
        await drained.close()
        await forget(49)
        assert await stories.story(task.task_id) == []

    async def test_keys_go_when_they_have_expired(self, journal, sql, forget):
        first, second = await admitted(
            journal,
            record(idempotency_key="a", principal=ADA),
            record(idempotency_key="a", principal=EVE),
        )
        await sql.execute(
            "UPDATE idempotency_keys SET expires_at = now() - interval '1 s' WHERE task_id = $1",
            first.task_id,
        )
        assert await forget(0) == 1
        kept = await sql.fetch("SELECT task_id::text FROM idempotency_keys")
        assert [row["task_id"] for row in kept] == [second.task_id]

    async def test_a_priced_task_whose_id_is_taken_reserves_nothing(
        self, journal, sql, forget, aged
    ):
        await sql.execute("INSERT INTO budgets (id, max_nano_usd) VALUES ('user:ada', 100)")
        task = await self.ended(journal)
        await forget(49)
        priced = record(task_id=task.task_id, reserve_nano=5, idempotency_key="k")
        assert await journal.admit(aged(priced)) == Verdict("known", task.task_id)
        assert await sql.fetchval("SELECT reserved_nano_usd FROM budgets") == 0

    async def test_while_it_is_forgotten_writing_goes_on(self, journal, retention, clock, folded):
        tasks = [record(str(number)) for number in range(300)]
        await asyncio.gather(*(journal.admit(task) for task in tasks))
        await asyncio.gather(*(journal.append(end(task)) for task in tasks))
        await folded()
        clock.advance(49 * HOUR)
        forgetting = asyncio.create_task(retention.forget(KEEP))
        verdicts = await asyncio.gather(*(journal.admit(record()) for _ in range(300)))
        assert {verdict.kind for verdict in verdicts} == {"accepted"}
        assert await forgetting > 0

    async def test_a_database_that_is_away_is_unavailable(self, database_url, clock):
        pool = await asyncpg.create_pool(database_url, min_size=0, max_size=1)
        await pool.close()
        with pytest.raises(ServiceUnavailable):
            await PostgresRetention(pool, clock).forget(KEEP)
