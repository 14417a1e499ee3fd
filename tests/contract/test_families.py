"""What every reader of stories promises of a task's sub-tasks."""

import asyncpg
import pytest

from cartrita.clock import new_id
from cartrita.errors import ServiceUnavailable
from cartrita.journal import Relative, Settlement
from cartrita.protocol.task import TaskStatus
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from cartrita.storage.postgres.stories import PostgresStories
from tests.support.journals import Durable, admitted, caught_up
from tests.support.records import NOW, end, record


class FamiliesContract:
    """Subclass it with fixtures `opened`, `stories`, and `folded`.

    `opened` opens a shard's writer; awaiting `folded()` waits until the reader follows.
    """

    @pytest.fixture
    async def journal(self, opened):
        return await opened("system/0")

    async def test_a_task_that_called_nobody_has_none(self, journal, stories, folded):
        task, _ = await admitted(journal, record(), record())
        await folded()
        assert await stories.family(task.task_id, 10) == []
        assert await stories.family(new_id(), 10) == []

    async def test_the_tasks_of_a_shard_that_ended_last_are_told(self, opened, journal, stories):
        first, second, open_one = await admitted(journal, record(), record(), record())
        other = await opened("system/1")
        (theirs,) = await admitted(other, record())
        for writer, one in ((journal, first), (other, theirs), (journal, second)):
            await writer.append(end(one))
        at = [(await stories.story(one.task_id))[-1].at for one in (first, second)]
        ended = await stories.ended("system/0", min(at) - 1, 100)
        assert sorted(ended) == sorted([first.task_id, second.task_id])
        assert open_one.task_id not in ended
        assert await stories.ended("system/0", max(at) + 1, 100) == []
        assert len(await stories.ended("system/0", min(at) - 1, 1)) == 1

    async def test_sub_tasks_are_told_as_they_stand(self, journal, stories, folded):
        parent, done, failed, waits = await admitted(journal, *family(record()))
        used = {"costUsd": 0.5, "tokensUsed": 7}
        await journal.append(end(done, metrics=used))
        what = {"errorCode": "AGENT_ERROR", "reason": "HOST_DIED"}
        await journal.append(end(failed, TaskStatus.FAILED, **what))
        ends = [(await stories.story(one.task_id))[-1].at for one in (done, failed)]
        await folded()
        one, other, third = await stories.family(parent.task_id, 10)
        above = parent.task_id
        assert one == Relative(
            done.task_id,
            above,
            "test.echo",
            TaskStatus.COMPLETED,
            NOW + 1,
            pytest.approx(ends[0], abs=30),
            used=Settlement(500_000_000, 7),
        )
        assert (other.status, other.error_code, other.reason) == (TaskStatus.FAILED, *what.values())
        assert third == Relative(waits.task_id, above, "test.echo", TaskStatus.PENDING, NOW + 3)

    async def test_theirs_are_told_too_in_any_shard(self, opened, journal, stories, folded):
        parent, *children = await admitted(journal, *family(record()))
        other = await opened("intelligence/0")
        below = await admitted(other, *family(children[1], since=10)[1:])
        (deepest,) = await admitted(journal, record(parent=below[0].task_id, accepted_at=NOW + 20))
        await folded()
        found = await stories.family(parent.task_id, 10)
        expected = [(one.task_id, one.parent) for one in (*children, *below, deepest)]
        assert [(one.task_id, one.parent) for one in found] == expected
        found = await stories.family(children[1].task_id, 10)
        assert [one.task_id for one in found] == [one for one, _ in expected[3:]]

    async def test_of_too_many_the_nearer_ones_are_told(self, journal, stories, folded):
        parent, *children = await admitted(journal, *family(record(), since=10))
        await admitted(journal, *family(children[0], since=0)[1:])
        await folded()
        found = await stories.family(parent.task_id, 3)
        assert [one.task_id for one in found] == [one.task_id for one in children]


def family(parent, since=0):
    """Return a task and three that it called for, one second apart."""
    of = parent.task_id
    return [parent, *(record(parent=of, accepted_at=NOW + since + n) for n in (1, 2, 3))]


class TestMemory(FamiliesContract):
    @pytest.fixture
    def tables(self):
        return JournalTables()

    @pytest.fixture
    def stories(self, tables):
        return tables

    @pytest.fixture
    async def opened(self, tables):
        async def open_shard(shard):
            journal = InMemoryJournal(tables, shard)
            await journal.open()
            return journal

        return open_shard

    @pytest.fixture
    def folded(self):
        async def nothing():
            """It is a fold as it is read."""

        return nothing


@pytest.mark.database
class TestPostgres(Durable, FamiliesContract):
    @pytest.fixture
    async def journal(self, opened):
        return await opened("system/0")

    @pytest.fixture
    def folded(self, sql):
        return lambda: caught_up(sql)

    async def test_a_database_that_is_away_is_said_to_be(self):
        pool = asyncpg.create_pool("postgresql://nobody@127.0.0.1:1/none", min_size=0, max_size=1)
        async with pool:
            with pytest.raises(ServiceUnavailable):
                await PostgresStories(pool).family(new_id(), 1)
