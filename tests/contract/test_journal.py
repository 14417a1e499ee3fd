"""What every journal promises, and what the durable one promises beyond that."""

import asyncio

import asyncpg
import pytest

from cartrita.clock import SystemClock, new_id
from cartrita.errors import InternalFailure, ServiceUnavailable, StaleEpoch
from cartrita.journal import EventKind, TaskRecord, Verdict, fold
from cartrita.protocol.task import TaskStatus
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from cartrita.storage.postgres import journal as module
from cartrita.storage.postgres.stories import PostgresStories
from tests.support.journals import Durable, admitted, left
from tests.support.records import ADA, EVE, end, record, response, retried, started


class JournalContract:
    """Subclass it with fixtures `opened`, which opens a shard's writer, and `stories`."""

    @pytest.fixture
    async def journal(self, opened):
        return await opened()

    async def test_a_new_task_is_accepted_and_reads_back(self, journal, stories):
        (task,) = await admitted(journal, record(idempotency_key="k", metadata={"a": "ö"}))
        (event,) = await stories.story(task.task_id)
        assert TaskRecord.from_wire(event.data) == task
        assert (event.step, event.kind) == (0, EventKind.ACCEPTED)
        assert (event.shard, event.epoch) == ("system/0", 1)
        assert abs(event.at - SystemClock().now()) < 60

    async def test_an_event_has_the_time_at_which_it_happened(self, journal, stories):
        (task,) = await admitted(journal, record())
        begun, ended = started(task), end(task)
        begun.at, ended.at = 1_750_000_000.123, 1_750_000_001.456
        assert [await journal.append(event) for event in (begun, ended)] == [True, True]
        _, *told = await stories.story(task.task_id)
        assert [event.at for event in told] == [begun.at, ended.at]

    async def test_a_task_that_comes_again_is_known(self, journal, stories):
        (task,) = await admitted(journal, record())
        for again in (task, record("other", task_id=task.task_id)):
            assert await journal.admit(again) == Verdict("known", task.task_id)
        (event,) = await stories.story(task.task_id)
        assert TaskRecord.from_wire(event.data) == task

    async def test_a_key_leads_to_its_first_task(self, journal, stories):
        (first,) = await admitted(journal, record(idempotency_key="k"))
        again = record(idempotency_key="k")
        assert await journal.admit(again) == Verdict("known", first.task_id)
        assert await journal.admit(first) == Verdict("known", first.task_id)
        assert await stories.story(again.task_id) == []

    async def test_a_key_with_another_payload_is_a_mismatch(self, journal, stories):
        (first,) = await admitted(journal, record(idempotency_key="k"))
        other = record("other", idempotency_key="k")
        assert await journal.admit(other) == Verdict("mismatch", first.task_id)
        assert await stories.story(other.task_id) == []

    async def test_keys_belong_to_their_users(self, journal):
        await admitted(
            journal,
            record(idempotency_key="k", principal=ADA),
            record("other", idempotency_key="k", principal=EVE),
            record(idempotency_key="K", principal=ADA),
        )

    async def test_a_key_holds_on_every_shard(self, journal, opened):
        (first,) = await admitted(journal, record(idempotency_key="k"))
        elsewhere = await opened("intelligence/0")
        assert await elsewhere.admit(record(idempotency_key="k")) == Verdict("known", first.task_id)

    async def test_twins_that_come_at_once_are_one_task(self, journal, stories):
        task = record()
        verdicts = await asyncio.gather(*(journal.admit(task) for _ in range(5)))
        assert [verdict.kind for verdict in verdicts] == ["accepted"] + ["known"] * 4
        assert {verdict.task_id for verdict in verdicts} == {task.task_id}
        assert len(await stories.story(task.task_id)) == 1

    async def test_twins_with_one_key_that_come_at_once_are_one_task(self, journal, stories):
        twins = [record(idempotency_key="k") for _ in range(4)]
        odd = record("other", idempotency_key="k")
        verdicts = await asyncio.gather(*(journal.admit(task) for task in (*twins, odd)))
        kinds = [verdict.kind for verdict in verdicts]
        assert kinds == ["accepted", "known", "known", "known", "mismatch"]
        assert {verdict.task_id for verdict in verdicts} == {twins[0].task_id}
        assert [len(await stories.story(task.task_id)) for task in twins] == [1, 0, 0, 0]

    async def test_a_task_whose_caller_left_is_admitted_all_the_same(self, journal, stories):
        task = record()
        journal.admit(task).cancel()
        await admitted(journal, record())
        assert len(await stories.story(task.task_id)) == 1

    async def test_a_story_is_told_in_order(self, journal, stories):
        (task,) = await admitted(journal, record())
        for event in (retried(task, 1), started(task, 2), started(task, 1), retried(task, 2)):
            assert await journal.append(event)
        assert await journal.append(end(task, result={"a": [1, "ö", None, 0.5]}))
        story = await stories.story(task.task_id)
        assert [event.kind for event in story] == [
            EventKind.ACCEPTED,
            EventKind.STARTED,
            EventKind.RETRY,
            EventKind.STARTED,
            EventKind.RETRY,
            EventKind.COMPLETED,
        ]
        assert story[-1].data == response(task, result={"a": [1, "ö", None, 0.5]})
        state = fold(story)
        assert (state.record, state.shard) == (task, "system/0")
        assert (state.status, state.attempts) == (TaskStatus.COMPLETED, 2)

    async def test_nobody_s_story_is_empty(self, journal, stories):
        assert await stories.story(new_id()) == []
        assert fold(await stories.story(new_id())) is None

    async def test_a_task_has_one_end(self, journal, stories):
        (task,) = await admitted(journal, record())
        assert await journal.append(end(task, result={"first": 1}))
        for status in TaskStatus:
            if status.terminal:
                assert not await journal.append(end(task, status))
        assert fold(await stories.story(task.task_id)).response["result"] == {"first": 1}

    async def test_of_ends_that_come_at_once_one_stands(self, journal, stories):
        (task,) = await admitted(journal, record())
        ends = [end(task, status) for status in (TaskStatus.CANCELLED, TaskStatus.COMPLETED)]
        assert await asyncio.gather(*(journal.append(one) for one in ends)) == [True, False]
        assert fold(await stories.story(task.task_id)).status is TaskStatus.CANCELLED

    async def test_an_event_that_comes_again_is_not_written_again(self, journal, stories):
        (task,) = await admitted(journal, record())
        assert await journal.append(started(task))
        assert not await journal.append(started(task))
        assert len(await stories.story(task.task_id)) == 2

    async def test_many_at_once_are_all_written(self, journal, opened):
        tasks = [record(str(number)) for number in range(1_500)]
        verdicts = await asyncio.gather(*(journal.admit(task) for task in tasks))
        assert {verdict.kind for verdict in verdicts} == {"accepted"}
        ends = await asyncio.gather(*(journal.append(end(task)) for task in tasks[:700]))
        assert all(ends)
        assert await left(await opened()) == [task.task_id for task in tasks[700:]]


class TakeoverContract:
    """One owner at a time."""

    async def test_each_owner_has_a_newer_epoch(self, opened):
        assert [(await opened()).epoch for _ in range(3)] == [1, 2, 3]
        assert (await opened("system/1")).epoch == 1

    async def test_taking_over_is_counted(self, opened):
        assert [(await opened()).restarts for _ in range(3)] == [0, 1, 2]

    async def test_whoever_was_taken_over_is_refused_whenever_it_wakes(self, opened, stories):
        zombie = await opened()
        (before,) = await admitted(zombie, record())
        owner = await opened()
        late = record()
        for attempt in (
            lambda: zombie.admit(late),
            lambda: zombie.append(started(before)),
            lambda: zombie.append(end(before)),
            lambda: zombie.admit(late),
        ):
            with pytest.raises(StaleEpoch, match="'system/0'"):
                await attempt()
        assert await stories.story(late.task_id) == []
        assert await left(owner) == [before.task_id]
        assert await owner.append(end(before))
        assert [event.epoch for event in await stories.story(before.task_id)] == [1, 2]

    async def test_everything_a_zombie_was_asked_at_once_is_refused(self, opened, stories):
        zombie, _ = await opened(), await opened()
        tasks = [record() for _ in range(20)]
        asked = [zombie.admit(task) for task in tasks]
        for refused in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(refused, StaleEpoch)
        assert [await stories.story(task.task_id) for task in tasks] == [[]] * 20

    async def test_owners_of_two_shards_do_not_disturb_each_other(self, opened):
        one, other = await opened("system/0"), await opened("system/1")
        (mine,) = await admitted(one, record())
        (theirs,) = await admitted(other, record())
        assert await one.append(started(mine))
        assert await left(await opened("system/0")) == [mine.task_id]
        assert await other.append(started(theirs))
        assert await left(await opened("system/1")) == [theirs.task_id]


class RecoveryContract:
    """What the next owner finds."""

    async def test_unfinished_tasks_come_oldest_first_with_their_stories(self, opened):
        owner = await opened()
        tasks = await admitted(owner, *(record(str(number)) for number in range(6)))
        await owner.append(started(tasks[1]))
        await owner.append(retried(tasks[1]))
        for done in (tasks[0], tasks[4]):
            await owner.append(end(done))
        successor = await opened()
        found = [(task, story) async for task, story, _ in successor.unfinished()]
        assert [task for task, _ in found] == [tasks[1], tasks[2], tasks[3], tasks[5]]
        assert [event.kind for event in found[0][1]] == [
            EventKind.ACCEPTED,
            EventKind.STARTED,
            EventKind.RETRY,
        ]
        assert fold(found[0][1]).attempts == 1

    async def test_where_nothing_is_unfinished_nothing_is_found(self, opened):
        owner = await opened()
        assert await left(owner) == []
        (task,) = await admitted(owner, record())
        await owner.append(end(task))
        assert await left(await opened()) == []

    async def test_closing_writes_what_was_queued_and_then_refuses(self, opened, stories):
        owner = await opened()
        tasks = [record(str(number)) for number in range(30)]
        asked = [owner.admit(task) for task in tasks]
        ends = [owner.append(end(task)) for task in tasks[:10]]
        await owner.close()
        assert {verdict.kind for verdict in await asyncio.gather(*asked)} == {"accepted"}
        assert all(await asyncio.gather(*ends))
        for late in (owner.admit(record()), owner.append(started(tasks[20]))):
            with pytest.raises(ServiceUnavailable):
                await late
        successor = await opened()
        assert await left(successor) == [task.task_id for task in tasks[10:]]


class TestInMemory(JournalContract, TakeoverContract, RecoveryContract):
    @pytest.fixture
    def stories(self):
        return JournalTables()

    @pytest.fixture
    def opened(self, stories):
        async def open_shard(shard="system/0"):
            journal = InMemoryJournal(stories, shard)
            await journal.open()
            return journal

        return open_shard


@pytest.mark.database
class TestPostgres(Durable, JournalContract, TakeoverContract, RecoveryContract):
    async def test_restarts_are_counted_within_one_life_of_the_instance(self, opened):
        lives = ["a", "a", "b", "b", "b"]
        assert [(await opened(run=run)).restarts for run in lives] == [0, 1, 0, 1, 2]

    async def test_more_than_a_page_of_unfinished_tasks_is_found(self, opened, monkeypatch):
        monkeypatch.setattr(module, "_RECOVER", 7)
        owner = await opened()
        tasks = [record(str(number)) for number in range(50)]
        await asyncio.gather(*(owner.admit(task) for task in tasks))
        await asyncio.gather(*(owner.append(end(task)) for task in tasks[::3]))
        kept = [task.task_id for place, task in enumerate(tasks) if place % 3]
        assert await left(await opened()) == kept

    @pytest.mark.parametrize(
        "bad", [{"idempotency_key": "a\x00b"}, {"task_id": "no id"}, {"params": {"a": object()}}]
    )
    async def test_an_entry_the_database_refuses_fails_alone(self, journal, bad):
        asked = [journal.admit(one) for one in (record(), record(**bad), record())]
        first, refused, last = await asyncio.gather(*asked, return_exceptions=True)
        assert (first.kind, last.kind) == ("accepted", "accepted")
        assert isinstance(refused, InternalFailure)
        await admitted(journal, record())

    async def test_an_end_the_database_refuses_fails_alone(self, journal):
        (task,) = await admitted(journal, record())
        refused = journal.append(end(task, result={"a": object()}))
        with pytest.raises(InternalFailure):
            await refused
        assert await journal.append(end(task))

    async def test_a_queue_that_is_too_long_takes_no_more_tasks_but_every_event(
        self, journal, monkeypatch
    ):
        (task,) = await admitted(journal, record())
        monkeypatch.setattr(module, "MAX_QUEUE", 2)
        asked = [journal.admit(record()) for _ in range(3)]
        ended = journal.append(end(task))
        with pytest.raises(ServiceUnavailable, match="behind") as refused:
            await asked[2]
        assert refused.value.retry_after
        assert {(await one).kind for one in asked[:2]} == {"accepted"}
        assert await ended

    async def test_a_story_of_a_database_that_is_away_is_unavailable(self, database_url):
        pool = await asyncpg.create_pool(database_url, min_size=0, max_size=1)
        await pool.close()
        with pytest.raises(ServiceUnavailable):
            await PostgresStories(pool).story(new_id())
