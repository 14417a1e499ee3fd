"""What every journal promises, asked of the one in memory and the one in PostgreSQL."""

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest

from cartrita.clock import new_id
from cartrita.errors import ServiceUnavailable, StaleEpoch
from cartrita.journal import Event, EventKind, Settlement, TaskRecord, fold
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskStatus
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from cartrita.storage.postgres.journal import PostgresJournal, PostgresStories

SHARD = "system/0"


def record(user: str = "u", digest: bytes = b"d", **fields) -> TaskRecord:
    who = Principal(user, fields.pop("tenant", user))
    task_id = fields.pop("task_id", None) or new_id()
    return TaskRecord(task_id, "system.echo", {"payload": 1}, who, digest, 1.0, 4e9, **fields)


def end(task_id: str, status: TaskStatus = TaskStatus.COMPLETED, **metrics) -> Event:
    response = {"taskId": task_id, "status": status.value, "metrics": metrics}
    return Event.end(task_id, status, response)


class InMemory:
    """Opens journals over the same tables."""

    def __init__(self) -> None:
        self.tables = JournalTables()

    @asynccontextmanager
    async def journal(self, shard: str = SHARD):
        journal = InMemoryJournal(self.tables, shard)
        await journal.open()
        yield journal
        await journal.close()

    async def story(self, task_id: str) -> list[Event]:
        return await self.tables.story(task_id)


class Postgres:
    """Opens journals over the same database."""

    def __init__(self, url: str) -> None:
        self.url = url

    @asynccontextmanager
    async def journal(self, shard: str = SHARD):
        journal = PostgresJournal(self.url, shard)
        await journal.open()
        try:
            yield journal
        finally:
            await journal.close()

    async def story(self, task_id: str) -> list[Event]:
        async with asyncpg.create_pool(self.url, min_size=1, max_size=1) as pool:
            return await PostgresStories(pool).story(task_id)

    async def fetch(self, sql: str, *values):
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetch(sql, *values)
        finally:
            await connection.close()


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.database)])
def store(request):
    if request.param == "memory":
        return InMemory()
    return Postgres(request.getfixturevalue("database_url"))


@pytest.fixture
def postgres(database_url):
    return Postgres(database_url)


async def test_what_is_admitted_and_ended_reads_back_in_order(store):
    async with store.journal() as journal:
        task = record(session_id="s", metadata={"a": "b"}, trace="t")
        assert (await journal.admit(task)).kind == "accepted"
        assert await journal.append(Event.within(task.task_id, 1, 1, EventKind.STARTED))
        running = fold(await store.story(task.task_id))
        assert (running.status, running.attempts, running.shard) == (TaskStatus.RUNNING, 1, SHARD)
        assert await journal.append(end(task.task_id))
    story = await store.story(task.task_id)
    assert [event.kind for event in story] == [
        EventKind.ACCEPTED,
        EventKind.STARTED,
        EventKind.COMPLETED,
    ]
    state = fold(story)
    assert state.record == task
    assert state.response["status"] == "COMPLETED"


async def test_there_is_no_story_of_what_was_never_admitted(store):
    assert await store.story(new_id()) == []
    assert fold([]) is None


async def test_the_same_id_is_the_same_task(store):
    async with store.journal() as journal:
        task = record()
        assert (await journal.admit(task)).kind == "accepted"
        again = await journal.admit(task)
        assert (again.kind, again.task_id) == ("known", task.task_id)


async def test_twins_with_one_key_in_one_batch_are_one_task(store):
    async with store.journal() as journal:
        twins = [record(idempotency_key="k") for _ in range(5)]
        verdicts = await asyncio.gather(*(journal.admit(twin) for twin in twins))
        assert [verdict.kind for verdict in verdicts] == ["accepted", *["known"] * 4]
        assert {verdict.task_id for verdict in verdicts} == {twins[0].task_id}


async def test_a_key_with_another_payload_is_a_mismatch_and_another_users_key_is_not(store):
    async with store.journal() as journal:
        first = record(idempotency_key="k")
        await journal.admit(first)
        other = await journal.admit(record(digest=b"other", idempotency_key="k"))
        assert (other.kind, other.task_id) == ("mismatch", first.task_id)
        assert (await journal.admit(record("v", idempotency_key="k"))).kind == "accepted"


async def test_a_task_ends_once(store):
    async with store.journal() as journal:
        task = record()
        await journal.admit(task)
        assert await journal.append(end(task.task_id))
        assert not await journal.append(end(task.task_id, TaskStatus.FAILED))
    assert fold(await store.story(task.task_id)).status is TaskStatus.COMPLETED


async def test_a_new_writer_shuts_the_old_one_out(store):
    async with store.journal() as old:
        task = record()
        await old.admit(task)
        async with store.journal() as new:
            assert new.epoch == old.epoch + 1
            with pytest.raises(StaleEpoch):
                await old.append(end(task.task_id))
            with pytest.raises(StaleEpoch):
                await old.admit(record())
            assert await new.append(end(task.task_id))


async def test_what_has_no_end_is_found_again_oldest_first_and_by_its_own_shard_only(store):
    async with store.journal() as journal, store.journal("system/1") as neighbour:
        tasks = [record() for _ in range(7)]
        await asyncio.gather(*(journal.admit(task) for task in tasks))
        await neighbour.admit(record())
        await journal.append(end(tasks[2].task_id))
        await journal.append(Event.within(tasks[4].task_id, 1, 1, EventKind.STARTED))
    async with store.journal() as journal:
        found = [(task.task_id, len(story)) async for task, story in journal.unfinished()]
    waiting = [task for task in tasks if task is not tasks[2]]
    assert found == [(task.task_id, 2 if task is tasks[4] else 1) for task in waiting]


@pytest.mark.database
async def test_two_writers_admit_exactly_what_a_budget_has_room_for(postgres):
    await postgres.fetch("INSERT INTO budgets (id, max_nano_usd) VALUES ('tenant:t', 37)")
    async with postgres.journal("system/0") as one, postgres.journal("system/1") as two:
        tasks = [record(f"u{n}", tenant="t", reserve_nano=1) for n in range(60)]
        verdicts = await asyncio.gather(
            *((one, two)[n % 2].admit(task) for n, task in enumerate(tasks))
        )
        admitted = [v.task_id for v in verdicts if v.kind == "accepted"]
        assert len(admitted) == 37
        assert {v.budget for v in verdicts if v.kind != "accepted"} == {"tenant:t"}
        for number, task_id in enumerate(admitted):
            owner = one if task_id in {task.task_id for task in tasks[::2]} else two
            spent = Settlement(nano_usd=number % 2)
            assert await owner.append(end(task_id), spent)
            assert not await owner.append(end(task_id), spent)
    (row,) = await postgres.fetch("SELECT * FROM budgets")
    assert (row["reserved_nano_usd"], row["used_nano_usd"]) == (0, 18)
    assert await postgres.fetch("SELECT FROM reservations") == []


@pytest.mark.database
async def test_a_refusal_for_the_budget_is_not_remembered_as_the_answer(postgres):
    await postgres.fetch(
        "INSERT INTO budgets (id, max_tokens, used_tokens, period, resets_at)"
        " VALUES ('user:u', 10, 9, '1 day', now() + interval '1 hour')"
    )
    async with postgres.journal() as journal:
        task = record(idempotency_key="k", reserve_tokens=5)
        verdict = await journal.admit(task)
        assert (verdict.kind, verdict.budget) == ("budget", "user:u")
        assert verdict.resets_at > 1_700_000_000
        await postgres.fetch("UPDATE budgets SET resets_at = now() - interval '25 hours'")
        assert (await journal.admit(task)).kind == "accepted"
    (row,) = await postgres.fetch("SELECT *, resets_at > now() AS later FROM budgets")
    assert (row["used_tokens"], row["reserved_tokens"], row["later"]) == (0, 5, True)


@pytest.mark.database
async def test_connections_cut_at_any_moment_change_no_outcome(postgres):
    async with postgres.journal() as journal:
        verdicts = {}

        async def one() -> None:
            task = record(idempotency_key=new_id(), reserve_nano=0)
            verdict = await journal.admit(task)
            ended = await journal.append(end(task.task_id))
            verdicts[task.task_id] = (verdict.kind, ended)

        async def cut() -> None:
            name = f"cartrita journal {SHARD}"
            for _ in range(15):
                await postgres.fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = $1 AND datname = current_database()",
                    name,
                )
                await asyncio.gather(*(one() for _ in range(20)))

        async with asyncio.timeout(60):
            await asyncio.gather(cut(), *(one() for _ in range(200)))
        assert set(verdicts.values()) == {("accepted", True)}
    rows = await postgres.fetch("SELECT task_id::text, count(*) FROM task_events GROUP BY 1")
    assert {row["task_id"]: row["count"] for row in rows} == dict.fromkeys(verdicts, 2)


@pytest.mark.database
async def test_the_table_of_tasks_is_a_fold_of_the_events_also_after_a_writer_vanished(postgres):
    lost = PostgresJournal(postgres.url, SHARD)
    await lost.open()
    tasks = [record() for _ in range(20)]
    await asyncio.gather(*(lost.admit(task) for task in tasks))
    await lost.append(end(tasks[0].task_id, TaskStatus.TIMEOUT, costUsd=0.25, tokensUsed=7))
    lost._writer.cancel()  # as kill -9 would: nothing is folded or closed properly
    lost._disconnect()
    async with postgres.journal():
        rows = await postgres.fetch("SELECT *, id::text AS key FROM tasks")
    assert {row["key"] for row in rows} == {task.task_id for task in tasks}
    ended = next(row for row in rows if row["key"] == tasks[0].task_id)
    assert (ended["status"], ended["nano_usd"], ended["tokens"]) == ("TIMEOUT", 250_000_000, 7)
    assert ended["finished_at"] is not None
    assert {row["status"] for row in rows if row is not ended} == {"PENDING"}


@pytest.mark.database
async def test_without_its_database_a_journal_refuses_and_what_had_to_be_written_waits(postgres):
    async with postgres.journal() as journal:
        task = record()
        await journal.admit(task)
        url, journal._url = journal._url, "postgresql://nobody@127.0.0.1:1/none"
        journal._disconnect()
        ending = journal.append(end(task.task_id))
        with pytest.raises(ServiceUnavailable) as refusal:
            await asyncio.wait_for(journal.admit(record()), 10)
        assert refusal.value.retry_after
        assert not ending.done()
        journal._url = url
        assert await asyncio.wait_for(ending, 10)
