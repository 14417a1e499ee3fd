"""Quarantined tasks are looked at, tried again once, or discarded."""

import asyncio
import random
from dataclasses import replace
from itertools import pairwise

import pytest

from actors.cell import same_task
from actors.quarantine import QuarantineDesk
from cartrita.clock import ManualClock, iso, new_id
from cartrita.errors import (
    AuthorizationFailed,
    CartritaError,
    IdempotencyMismatch,
    InvalidParameters,
    NotFound,
    QueueFull,
    ServiceUnavailable,
)
from cartrita.journal import TaskRecord, fold
from cartrita.protocol.principal import Principal, Role
from cartrita.protocol.task import Delivery, TaskStatus
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from cartrita.storage.memory_runtime import InMemoryQuarantine
from tests.support.records import ADA, EVE, NOW, end, record, retried, started

ROOT = Principal("root", "root", Role.ADMIN)


class Entrance:
    """A way in, over a journal in memory, that stumbles as a test wants it to."""

    def __init__(self, tables, journal, rng=None):
        self.tables, self.journal, self._rng = tables, journal, rng
        self.before = self.after = None
        self.asked = []

    async def __call__(self, task):
        self.asked.append(task)
        await self._dawdle()
        if self.before:
            raise self.before
        verdict = await self.journal.admit(task)
        if verdict.kind == "known":
            held = fold(await self.tables.story(task.task_id))
            same_task(held.record, task)
        await self._dawdle()
        if self.after:
            raise self.after
        return {"taskId": task.task_id, "status": "PENDING", "metrics": {}}

    async def _dawdle(self):
        for _ in range(self._rng.randrange(4) if self._rng else 0):
            await asyncio.sleep(0)


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def tables():
    return JournalTables()


@pytest.fixture
async def journal(tables, clock):
    journal = InMemoryJournal(tables, "system/0", clock)
    await journal.open()
    return journal


@pytest.fixture
def quarantine(tables):
    return InMemoryQuarantine(tables)


@pytest.fixture
def entrance(tables, journal):
    return Entrance(tables, journal)


@pytest.fixture
def desk(tables, quarantine, entrance, clock):
    return QuarantineDesk(tables, quarantine, entrance, clock)


@pytest.fixture
def quarantined(journal, clock):
    """Return how a task comes into quarantine, a second after its acceptance."""

    async def give_up(**changes):
        task = record(**changes)
        await journal.admit(task)
        for event in (started(task), retried(task), started(task, 2)):
            await journal.append(event)
        clock.advance(1)
        metrics = {"processingTimeMs": 2.0, "retryCount": 1}
        outcome = {"errorCode": "AGENT_ERROR", "reason": "QUARANTINED", "metrics": metrics}
        await journal.append(end(task, TaskStatus.FAILED, **outcome))
        return task

    return give_up


async def children(tables, task):
    """Return every accepted retry of a task."""
    states = [fold(await tables.story(task_id)) for task_id in tables.stories]
    return [state.record for state in states if state.record.retry_of == task.task_id]


class TestLooking:
    async def test_a_row_says_what_was_given_up_and_when(self, desk, quarantined):
        task = await quarantined()
        assert await desk.list(ADA) == [
            {
                "taskId": task.task_id,
                "taskType": "test.echo",
                "user": "ada",
                "tenant": "ada",
                "shard": "system/0",
                "acceptedAt": iso(NOW),
                "endedAt": iso(NOW + 1),
                "settled": None,
                "retriedAs": None,
            }
        ]

    async def test_owners_see_theirs_and_admins_all(self, desk, quarantined):
        ours, theirs = await quarantined(), await quarantined(principal=EVE)
        for who, tasks in ((ADA, [ours]), (EVE, [theirs]), (ROOT, [theirs, ours])):
            assert [row["taskId"] for row in await desk.list(who)] == [t.task_id for t in tasks]

    async def test_one_page_follows_the_other(self, desk, quarantined):
        tasks = [await quarantined() for _ in range(3)]
        page = await desk.list(ADA, 2)
        page += await desk.list(ADA, 2, page[-1]["taskId"])
        assert [row["taskId"] for row in page] == [t.task_id for t in reversed(tasks)]

    async def test_a_page_begins_behind_a_task(self, desk):
        with pytest.raises(InvalidParameters) as caught:
            await desk.list(ADA, 5, "yesterday")
        assert caught.value.fields[0].field == "before"

    async def test_an_inspection_tells_the_whole_story(self, desk, quarantined):
        task = await quarantined(delivery=Delivery.EXACTLY_ONCE)
        seen = await desk.inspect(task.task_id, ADA)
        (row,) = await desk.list(ADA)
        assert {key: seen[key] for key in row} == row
        assert (seen["parameters"], seen["delivery"]) == ({"text": "hello"}, "EXACTLY_ONCE")
        assert (seen["attempts"], seen["response"]["reason"]) == (2, "QUARANTINED")
        types = [event["type"] for event in seen["story"]]
        assert types == ["accepted", "queued", "started", "retry", "reset", "started", "failed"]
        assert all(a["cursor"] < b["cursor"] for a, b in pairwise(seen["story"]))
        first, last = seen["story"][0], seen["story"][-1]
        assert (first["at"], last["at"]) == (iso(NOW), iso(NOW + 1))
        assert (first["attempt"], last["attempt"]) == (0, None)

    async def test_an_inspection_says_what_was_decided(self, desk, quarantined):
        task = await quarantined()
        again = await desk.retry(task.task_id, ADA)
        seen = await desk.inspect(task.task_id, ADA)
        assert (seen["settled"], seen["retriedAs"]) == ("retried", again["taskId"])

    async def test_other_people_s_tasks_are_not_there(self, desk, quarantined, entrance):
        task = await quarantined()
        for ask in (desk.inspect, desk.retry, desk.discard):
            with pytest.raises(NotFound):
                await ask(task.task_id, EVE)
        assert entrance.asked == []
        assert len(await desk.list(ADA)) == 1

    async def test_tasks_that_are_not_in_quarantine_are_not_there(self, desk, journal):
        task = record()
        await journal.admit(task)
        for task_id in (task.task_id, new_id(), "no id"):
            for ask in (desk.inspect, desk.retry, desk.discard):
                with pytest.raises(NotFound):
                    await ask(task_id, ROOT)


class TestRetrying:
    async def test_a_retry_is_a_new_task_like_the_old_one(self, desk, quarantined, tables, clock):
        old = await quarantined(
            principal=replace(ADA, tenant="workspace"),
            priority=8,
            session_id="chat",
            metadata={"a": "b"},
            max_usd=0.5,
            reserve_nano=7,
            delivery=Delivery.AT_MOST_ONCE,
        )
        clock.advance(3600)
        answer = await desk.retry(old.task_id, ADA)
        (new,) = await children(tables, old)
        assert answer == {"taskId": new.task_id, "status": "PENDING", "retryOf": old.task_id}
        assert (new.accepted_at, new.deadline) == (clock.now(), clock.now() + 60)
        assert new.trace
        same = replace(
            old,
            task_id=new.task_id,
            accepted_at=new.accepted_at,
            deadline=new.deadline,
            trace=new.trace,
            retry_of=old.task_id,
            root=old.task_id,
        )
        assert new == same

    async def test_a_retry_stands_alone(self, desk, quarantined, tables):
        kin = {"parent": new_id(), "depth": 2, "idempotency_key": "k", "trace": "00-aa-bb-01"}
        old = await quarantined(**kin)
        await desk.retry(old.task_id, ADA)
        (new,) = await children(tables, old)
        assert (new.parent, new.depth, new.idempotency_key) == (None, 0, None)
        assert new.trace != old.trace

    async def test_a_retry_travels_as_what_it_is(self, desk, quarantined, entrance):
        old = await quarantined()
        await desk.retry(old.task_id, ADA, {"text": "softer"})
        (new,) = entrance.asked
        assert TaskRecord.unpack(new.pack()) == new

    async def test_a_retry_may_have_other_parameters(self, desk, quarantined, tables):
        old = await quarantined()
        await desk.retry(old.task_id, ADA, {"text": "softer"})
        (new,) = await children(tables, old)
        assert new.params == {"text": "softer"}
        assert new.digest != old.digest

    async def test_an_admin_retries_in_the_owner_s_name(self, desk, quarantined, tables):
        old = await quarantined()
        await desk.retry(old.task_id, ROOT)
        (new,) = await children(tables, old)
        assert new.principal == ADA

    async def test_credentials_that_may_not_run_a_task_may_not_retry_it(
        self, desk, quarantined, entrance
    ):
        task = await quarantined()
        with pytest.raises(AuthorizationFailed):
            await desk.retry(task.task_id, replace(ADA, scopes=("tasks:chat.*",)))
        assert entrance.asked == []

    async def test_a_retried_task_waits_no_more(self, desk, quarantined):
        task = await quarantined()
        await desk.retry(task.task_id, ADA)
        assert await desk.list(ADA) == []
        assert not await desk.discard(task.task_id, ADA)

    @pytest.mark.parametrize("parameters", [None, {"text": "softer"}])
    async def test_a_second_retry_is_refused_and_names_the_first(
        self, desk, quarantined, entrance, parameters
    ):
        task = await quarantined()
        first = await desk.retry(task.task_id, ADA)
        with pytest.raises(InvalidParameters, match=first["taskId"]):
            await desk.retry(task.task_id, ADA, parameters)
        assert len(entrance.asked) == 1

    async def test_a_retry_that_is_quarantined_too_is_retried_again(
        self, desk, quarantined, journal, tables
    ):
        task = await quarantined()
        first = await desk.retry(task.task_id, ADA)
        (again,) = await children(tables, task)
        await journal.append(end(again, TaskStatus.FAILED, reason="QUARANTINED"))
        second = await desk.retry(first["taskId"], ADA)
        assert second["retryOf"] == first["taskId"]
        assert len({task.task_id, first["taskId"], second["taskId"]}) == 3


class TestStumbling:
    @pytest.mark.parametrize(
        "refusal", [QueueFull("Full."), InvalidParameters("No."), IdempotencyMismatch("Not yet.")]
    )
    async def test_a_retry_that_is_refused_leaves_the_task_waiting(
        self, desk, quarantined, entrance, refusal
    ):
        task = await quarantined()
        entrance.before = refusal
        with pytest.raises(type(refusal), match=refusal.message):
            await desk.retry(task.task_id, ADA)
        (row,) = await desk.list(ADA)
        assert row["settled"] is None
        entrance.before = None
        assert await desk.retry(task.task_id, ADA)

    @pytest.mark.parametrize("end", [ServiceUnavailable("Away."), asyncio.CancelledError()])
    async def test_a_retry_whose_answer_was_lost_is_not_run_twice(
        self, desk, quarantined, entrance, tables, clock, end
    ):
        task = await quarantined()
        entrance.after = end
        with pytest.raises(type(end)):
            await desk.retry(task.task_id, ADA)
        assert len(await desk.list(ADA)) == 1
        entrance.after = None
        clock.advance(100)
        answer = await desk.retry(task.task_id, ADA)
        assert [new.task_id for new in await children(tables, task)] == [answer["taskId"]]
        assert await desk.list(ADA) == []

    async def test_after_a_lost_answer_other_parameters_are_not_taken_for_the_first(
        self, desk, quarantined, entrance, tables
    ):
        task = await quarantined()
        entrance.after = ServiceUnavailable("Away.")
        with pytest.raises(ServiceUnavailable):
            await desk.retry(task.task_id, ADA, {"text": "softer"})
        entrance.after = None
        (new,) = await children(tables, task)
        with pytest.raises(InvalidParameters, match=new.task_id):
            await desk.retry(task.task_id, ADA)
        assert (await desk.inspect(task.task_id, ADA))["retriedAs"] == new.task_id

    @pytest.mark.parametrize("seed", range(40))
    async def test_whoever_comes_at_once_there_is_one_retry_at_most(
        self, tables, journal, quarantine, clock, quarantined, seed
    ):
        rng = random.Random(seed)
        entrance = Entrance(tables, journal, rng)
        desk = QuarantineDesk(tables, quarantine, entrance, clock)
        task = await quarantined()
        wishes = [rng.choice([None, {"text": "a"}, {"text": "b"}, "discard"]) for _ in range(6)]
        calls = [
            desk.discard(task.task_id, ADA)
            if wish == "discard"
            else desk.retry(task.task_id, rng.choice([ADA, ROOT]), wish)
            for wish in wishes
        ]
        results = await asyncio.gather(*calls, return_exceptions=True)
        refused = [result for result in results if isinstance(result, Exception)]
        assert all(isinstance(result, CartritaError) for result in refused)
        named = {result["taskId"] for result in results if isinstance(result, dict)}
        new = {child.task_id: child for child in await children(tables, task)}
        assert named == set(new)
        assert len(new) <= 1
        for wish, result in zip(wishes, results, strict=True):
            if isinstance(result, dict):
                assert new[result["taskId"]].params == (wish or task.params)
        assert results.count(True) <= 1
        assert (await quarantine.find(task.task_id)).settled is not None


class TestDiscarding:
    async def test_a_discarded_task_waits_no_more(self, desk, quarantined):
        task = await quarantined()
        assert await desk.discard(task.task_id, ROOT)
        assert await desk.list(ROOT) == []
        assert (await desk.inspect(task.task_id, ADA))["settled"] == "discarded"

    async def test_a_task_is_discarded_once(self, desk, quarantined):
        task = await quarantined()
        assert await desk.discard(task.task_id, ADA)
        assert not await desk.discard(task.task_id, ADA)

    async def test_a_discarded_task_is_not_retried(self, desk, quarantined, entrance):
        task = await quarantined()
        await desk.discard(task.task_id, ADA)
        with pytest.raises(InvalidParameters, match="discarded"):
            await desk.retry(task.task_id, ADA)
        assert entrance.asked == []
