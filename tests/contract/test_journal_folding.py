"""The table of tasks is a fold of their events, whatever happens in between."""

import asyncio

import pytest
from structlog.testing import capture_logs

from cartrita.clock import new_id
from cartrita.errors import StaleEpoch
from cartrita.journal import Event, EventKind, fold
from cartrita.protocol.task import TaskStatus
from cartrita.storage.postgres import folding as module
from cartrita.storage.postgres.journal import read_event
from tests.support.journals import Durable, admitted, caught_up, crash, tasks_and_fold
from tests.support.processes import eventually
from tests.support.records import end, record, retried, started


def lived(number):
    """Return a task and its later life, of every kind there is."""
    kin = {"parent": new_id(), "depth": 1} if number % 3 else {"retry_of": new_id()}
    task = record(str(number), **(kin if number % 2 else {}))
    metrics = {"metrics": {"costUsd": number / 7e7, "tokensUsed": number}}
    failed = end(task, TaskStatus.FAILED, errorCode="AGENT_ERROR", **metrics)
    killer = end(task, TaskStatus.FAILED, errorCode="AGENT_ERROR", reason="QUARANTINED")
    lives = [
        [],
        [started(task)],
        [started(task), retried(task)],
        [end(task, **metrics)],
        [started(task), end(task, TaskStatus.TIMEOUT, errorCode="TASK_TIMEOUT")],
        [started(task), retried(task), started(task, 2), failed],
        [started(task), said(task), retried(task), killer],
    ]
    return task, lives[number % len(lives)]


def said(task):
    """Return words of a task's first attempt."""
    step = (1 << 32) | 3
    return Event(task.task_id, step, EventKind.STREAM, [[step, "token", 0.0, "hi"]])


async def kin_and_reasons(sql):
    """Return why each task in the table ended and whose kin it is, and the same as a fold."""
    table = {
        str(row["id"]): (row["reason"], row["parent"], row["retry_of"])
        for row in await sql.fetch(
            "SELECT id, reason, parent::text AS parent, retry_of::text AS retry_of FROM tasks"
        )
    }
    stories = {}
    for row in await sql.fetch("SELECT *, task_id::text AS id FROM task_events ORDER BY step"):
        stories.setdefault(row["id"], []).append(read_event(row))
    folded = {}
    for task_id, state in ((key, fold(story)) for key, story in stories.items()):
        reason = (state.response or {}).get("reason")
        folded[task_id] = (reason, state.record.parent, state.record.retry_of)
    return table, folded


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

    async def test_reasons_parents_and_retries_are_folded(self, journal, sql):
        await self.live(journal)
        await caught_up(sql)
        table, folded = await kin_and_reasons(sql)
        assert table == folded
        for column in range(3):
            assert {row[column] is None for row in table.values()} == {True, False}

    async def test_reasons_parents_and_retries_outlive_a_crash(self, opened, sql, monkeypatch):
        monkeypatch.setattr(module, "FOLD_EVERY", 1e9)
        crashed = await opened()
        await self.live(crashed)
        await crash(crashed)
        await opened()
        table, folded = await kin_and_reasons(sql)
        assert (table, len(table)) == (folded, 60)

    async def test_a_reason_that_comes_after_its_task_was_folded_is_written(self, journal, sql):
        (task,) = await admitted(journal, record(parent=new_id()))
        await caught_up(sql)
        await journal.append(end(task, TaskStatus.FAILED, reason="QUARANTINED"))
        await caught_up(sql)
        table, _ = await kin_and_reasons(sql)
        assert table == {task.task_id: ("QUARANTINED", task.parent, None)}

    async def test_what_a_task_says_does_not_change_where_it_stands(self, journal, sql):
        (task,) = await admitted(journal, record())
        await journal.append(started(task))
        await caught_up(sql)
        await journal.append(said(task))
        assert not journal._seat.folder.behind
        await admitted(journal, record())
        assert (await caught_up(sql))[task.task_id][2] == "RUNNING"

    async def test_what_a_crashed_task_said_does_not_change_where_it_stood(self, opened, sql):
        crashed = await opened()
        (task,) = await admitted(crashed, record())
        await crashed.append(started(task))
        await caught_up(sql)
        await crashed.append(said(task))
        await crash(crashed)
        await opened()
        table, folded = await tasks_and_fold(sql)
        assert (table, table[task.task_id][2]) == (folded, "RUNNING")

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
        await crash(crashed)
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
        await crash(crashed)
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
        with pytest.raises(StaleEpoch):
            await zombie._seat.folder.write(sql, zombie.epoch)
        with pytest.raises(StaleEpoch):
            await zombie.admit(record())
        table, folded = await tasks_and_fold(sql)
        assert table == folded
        assert table[task.task_id][2] == "RUNNING"

    async def test_a_fold_that_fails_is_made_up_for(self, journal, sql):
        await sql.execute("ALTER TABLE tasks RENAME TO away")
        await admitted(journal, record())
        with capture_logs() as lines:
            assert await eventually(lambda: lines, 5)
        assert {line["event"] for line in lines} == {"fold_failed"}
        await sql.execute("ALTER TABLE away RENAME TO tasks")
        await admitted(journal, record())
        await journal.close()
        table, folded = await tasks_and_fold(sql)
        assert (table, len(table)) == (folded, 2)
