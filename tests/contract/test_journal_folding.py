"""The table of tasks is a fold of their events, whatever happens in between."""

import asyncio

import pytest

from cartrita.errors import StaleEpoch
from cartrita.protocol.task import TaskStatus
from cartrita.storage.postgres import journal as module
from tests.support.journals import Durable, admitted, caught_up, tasks_and_fold
from tests.support.processes import eventually
from tests.support.records import end, record, retried, started


def lived(number):
    """Return a task and its later life, of every kind there is."""
    task = record(str(number))
    metrics = {"metrics": {"costUsd": number / 7e7, "tokensUsed": number}}
    failed = end(task, TaskStatus.FAILED, errorCode="AGENT_ERROR", **metrics)
    lives = [
        [],
        [started(task)],
        [started(task), retried(task)],
        [end(task, **metrics)],
        [started(task), end(task, TaskStatus.TIMEOUT, errorCode="TASK_TIMEOUT")],
        [started(task), retried(task), started(task, 2), failed],
    ]
    return task, lives[number % len(lives)]


@pytest.mark.database
class TestFolding(Durable):
    async def live(self, journal, count=60):
        """Let tasks live, their events spread over several batches."""
        for begin in range(0, count, 12):
            lives = [lived(number) for number in range(begin, begin + 12)]
            await asyncio.gather(*(journal.admit(task) for task, _ in lives))
            for step in range(4):
                events = [events[step] for _, events in lives if step < len(events)]
                assert all(await asyncio.gather(*(journal.append(event) for event in events)))

    async def test_the_table_follows_its_events(self, journal, sql):
        await self.live(journal)
        assert len(await caught_up(sql)) == 60

    async def test_closing_brings_the_table_up_to_date(self, opened, sql, monkeypatch):
        monkeypatch.setattr(module, "FOLD_EVERY", 1e9)
        journal = await opened()
        await self.live(journal)
        await journal.close()
        table, folded = await tasks_and_fold(sql)
        assert table == folded

    async def test_what_a_crashed_writer_did_not_fold_its_successor_folds(
        self, opened, sql, monkeypatch
    ):
        monkeypatch.setattr(module, "FOLD_EVERY", 1e9)
        crashed = await opened()
        await self.live(crashed)
        table, folded = await tasks_and_fold(sql)
        assert (table, len(folded)) == ({}, 60)
        crashed._writer.cancel()
        successor = await opened()
        table, folded = await tasks_and_fold(sql)
        assert table == folded
        await self.live(successor, 12)
        await successor.close()
        table, folded = await tasks_and_fold(sql)
        assert (table, len(table)) == (folded, 72)

    async def test_a_crash_between_two_folds_is_made_good(self, opened, sql):
        crashed = await opened()
        task = record()
        await admitted(crashed, task)
        await caught_up(sql)
        await crashed.append(end(task))
        crashed._writer.cancel()
        await opened()
        table, folded = await tasks_and_fold(sql)
        assert table == folded
        assert table[task.task_id][2] == "COMPLETED"

    async def test_a_zombie_does_not_write_its_view_over_its_successor_s(
        self, opened, sql, monkeypatch
    ):
        monkeypatch.setattr(module, "FOLD_EVERY", 1e9)
        zombie = await opened()
        (task,) = await admitted(zombie, record())
        successor = await opened()
        assert await successor.append(started(task))
        await successor.close()
        await zombie._fold()
        with pytest.raises(StaleEpoch):
            await zombie.admit(record())
        table, folded = await tasks_and_fold(sql)
        assert table == folded
        assert table[task.task_id][2] == "RUNNING"

    async def test_a_fold_that_fails_is_made_up_for(self, journal, sql):
        await sql.execute("ALTER TABLE tasks RENAME TO away")
        await admitted(journal, record())
        folder = journal._folder
        assert await eventually(lambda: folder._last and folder.behind, 5)
        await sql.execute("ALTER TABLE away RENAME TO tasks")
        await admitted(journal, record())
        await journal.close()
        table, folded = await tasks_and_fold(sql)
        assert (table, len(table)) == (folded, 2)
