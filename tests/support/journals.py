"""Journals in a database of the test's own, and what is in it."""

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest

from cartrita.journal import Settlement, Verdict, fold
from cartrita.storage.postgres.journal import PostgresJournal, read_event
from cartrita.storage.postgres.stories import PostgresStories


async def admitted(journal, *records):
    """Admit tasks one after the other; all must be new."""
    for one in records:
        assert await journal.admit(one) == Verdict("accepted", one.task_id)
    return records


async def left(journal):
    return [task.task_id async for task, *_ in journal.unfinished()]


async def crash(journal):
    """End a writer as the death of its process does."""
    work = [*journal._working, *journal._folding]
    for one in work:
        one.cancel()
    await asyncio.wait(work)
    journal._lane._disconnect()


class Durable:
    """Fixtures of a journal in a database of the test's own."""

    @pytest.fixture
    async def sql(self, database_url):
        connection = await asyncpg.connect(database_url)
        yield connection
        await connection.close()

    @pytest.fixture
    async def stories(self, database_url):
        async with asyncpg.create_pool(database_url, min_size=0, max_size=2) as pool:
            yield PostgresStories(pool)

    @pytest.fixture
    async def opened(self, database_url):
        journals = []

        async def open_shard(shard="system/0", **options):
            journal = PostgresJournal(database_url, shard, **{"run": "one life", **options})
            journals.append(journal)
            await journal.open()
            return journal

        yield open_shard
        for journal in journals:
            await journal.close()

    @pytest.fixture
    async def journal(self, opened):
        return await opened()


async def tasks_and_fold(sql):
    """Return the table of tasks, and what it ought to be: a fold of their events."""
    table = {
        str(row["id"]): (
            row["shard"],
            row["user_id"],
            row["status"],
            row["error_code"],
            row["nano_usd"],
            row["tokens"],
            row["finished_at"] is not None,
        )
        for row in await sql.fetch("SELECT * FROM tasks")
    }
    rows = await sql.fetch("SELECT *, task_id::text AS id FROM task_events ORDER BY task_id, step")
    stories = {}
    for row in rows:
        stories.setdefault(row["id"], []).append(read_event(row))
    folded = {}
    for task_id, story in stories.items():
        state = fold(story)
        told = state.response or {}
        used = Settlement.of(told)
        folded[task_id] = (
            state.shard,
            state.record.principal.user,
            state.status.value,
            told.get("errorCode"),
            used.nano_usd,
            used.tokens,
            state.status.terminal,
        )
    return table, folded


async def caught_up(sql):
    """Return the table of tasks once it is what it ought to be."""
    async with asyncio.timeout(5):
        while True:
            table, folded = await tasks_and_fold(sql)
            if table == folded:
                return table
            await asyncio.sleep(0.02)


@asynccontextmanager
async def connected(url):
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
