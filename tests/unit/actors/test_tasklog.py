"""The log of one live task in its supervisor's memory."""

import asyncio
import gc
import tracemalloc

import pytest

from actors import tasklog as tasklog_module
from actors.tasklog import KEPT, TaskLog
from cartrita.errors import StaleEpoch
from cartrita.journal import ATTEMPT_SHIFT, END_STEP, Event, EventKind
from cartrita.protocol.task import TaskStatus
from cartrita.story import STARTED, narrate
from tests.support.processes import eventually


def at(attempt, place):
    return attempt << ATTEMPT_SHIFT | place


class Journal:
    """Takes events; they are durable when the test says so, unless it is `quick`."""

    def __init__(self):
        self.events, self.waiting, self.quick = [], [], True

    def append(self, event):
        future = asyncio.get_running_loop().create_future()
        self.events.append(event)
        self.waiting.append(future)
        if self.quick:
            self.let_go()
        return future

    def let_go(self):
        for future in self.waiting:
            future.set_result(True)
        self.waiting.clear()


@pytest.fixture
async def journal():
    return Journal()


@pytest.fixture
async def log(journal):
    """Give the log of a task in its first attempt, whose start is durable."""
    one = TaskLog("t", STARTED, journal.append, lambda: 7.0)
    one.begin(1, 7.0, durable())
    await asyncio.sleep(0)
    yield one
    one.close()


def durable():
    future = asyncio.get_running_loop().create_future()
    future.set_result(True)
    return future


def retry(step, data):
    return Event("t", step, EventKind.RETRY, data, 7.5)


def said(log, after=STARTED):
    return [entry.data for entry in log.after(after, most=10_000) if entry.data is not None]


class TestOrder:
    async def test_what_is_said_follows_the_start_of_its_attempt(self, log):
        for number in range(3):
            log.say("token", number)
        entries = log.after(STARTED)
        assert [entry.step for entry in entries] == [at(1, 1), at(1, 2), at(1, 3), at(1, 4)]
        assert [entry.type for entry in entries] == ["started", "token", "token", "token"]
        assert {entry.at for entry in entries} == {7.0}

    async def test_from_any_cursor_the_rest_is_told(self, log):
        for number in range(3):
            log.say("token", number)
        assert said(log, at(1, 2)) == [1, 2]
        assert said(log, at(1, 4)) == []

    async def test_a_page_has_no_more_entries_than_asked_for(self, log):
        for number in range(200):
            log.say("token", number)
        assert len(log.after(STARTED)) == 64
        assert len(log.after(STARTED, most=5)) == 5

    async def test_a_new_attempt_begins_with_a_reset(self, log):
        log.say("token", "x")
        step = log.retry_step()
        log.lost(retry(step, {"solo": True}), durable())
        log.begin(2, 7.0, durable())
        await asyncio.sleep(0)
        log.say("token", "y")
        types = [entry.type for entry in log.after(STARTED)]
        assert types == ["started", "token", "retry", "reset", "started", "token"]
        steps = [entry.step for entry in log.after(STARTED)]
        assert steps == sorted(set(steps))
        assert steps[2:] == [at(1, 3), at(2, 0), at(2, 1), at(2, 2)]

    async def test_the_end_comes_last_and_nothing_after_it(self, log):
        log.say("token", "x")
        log.close(Event.end("t", TaskStatus.COMPLETED, {"a": 1}, 8.0))
        log.say("token", "too late")
        last = log.after(STARTED)[-1]
        assert (last.step, last.type, last.data) == (END_STEP, "completed", {"a": 1})


class TestShowing:
    async def test_nothing_is_shown_before_the_start_is_durable(self, journal):
        log = TaskLog("t", STARTED, journal.append, lambda: 0.0)
        start = asyncio.get_running_loop().create_future()
        log.begin(1, 7.0, start)
        log.say("token", "early")
        assert log.after(-1) == []
        waiting = asyncio.create_task(log.more(-1))
        start.set_result(True)
        await asyncio.wait_for(waiting, 5)
        assert [entry.type for entry in log.after(-1)] == ["started", "token"]
        log.say("token", "late")
        assert said(log) == ["early", "late"]
        log.close()

    async def test_a_loss_is_shown_once_it_is_durable(self, log):
        loss = asyncio.get_running_loop().create_future()
        log.say("token", "x")
        log.lost(retry(log.retry_step(), {"solo": False}), loss)
        assert [entry.type for entry in log.after(STARTED)] == ["started", "token"]
        loss.set_result(True)
        await asyncio.sleep(0)
        assert [entry.type for entry in log.after(STARTED)] == ["started", "token", "retry"]

    @pytest.mark.parametrize("fails", [True, False])
    async def test_what_a_fenced_writer_could_not_write_is_not_shown(self, log, fails):
        """Its successor tells another story from there on."""
        loss, start = (asyncio.get_running_loop().create_future() for _ in range(2))
        log.lost(retry(log.retry_step(), {"solo": False}), loss)
        log.begin(2, 7.0, start)
        log.say("token", "nobody's")
        for future in (loss, start):
            if fails:
                future.set_exception(StaleEpoch("over"))
            else:
                future.set_result(False)
        await asyncio.sleep(0)
        assert [entry.type for entry in log.after(STARTED - 1)] == ["started"]

    async def test_a_second_attempt_waits_for_its_own_start(self, log):
        log.lost(retry(log.retry_step(), {}), durable())
        await asyncio.sleep(0)
        start = asyncio.get_running_loop().create_future()
        log.begin(2, 7.0, start)
        log.say("token", "early")
        assert [entry.type for entry in log.after(STARTED)] == ["started", "retry"]
        start.set_result(True)
        await asyncio.sleep(0)
        assert [entry.type for entry in log.after(STARTED)][2:] == ["reset", "started", "token"]

    async def test_a_start_that_is_durable_late_shows_nothing_of_the_next_attempt(self, journal):
        log = TaskLog("t", STARTED, journal.append, lambda: 0.0)
        first, second = (asyncio.get_running_loop().create_future() for _ in range(2))
        log.begin(1, 7.0, first)
        log.begin(2, 7.0, second)
        log.say("token", "x")
        first.set_result(True)
        await asyncio.sleep(0)
        assert [entry.type for entry in log.after(STARTED)] == ["started"]
        log.close()

    async def test_whoever_waits_is_woken_by_the_next_word_and_by_the_end(self, log):
        for act in (
            lambda: log.say("token", "x"),
            lambda: log.close(Event.end("t", TaskStatus.COMPLETED, {})),
        ):
            waiting = asyncio.create_task(log.more(log.last))
            await asyncio.sleep(0)
            assert not waiting.done()
            act()
            await asyncio.wait_for(waiting, 5)

    async def test_one_who_stops_waiting_does_not_wake_or_stop_the_others(self, log):
        leaves, stays = (asyncio.create_task(log.more(log.last)) for _ in range(2))
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.sleep(0)
        assert not stays.done()
        log.close()
        await asyncio.wait_for(stays, 5)


class TestSpilling:
    async def test_what_is_said_is_given_to_the_journal_together_and_soon(
        self, log, journal, monkeypatch
    ):
        monkeypatch.setattr(tasklog_module, "SPILL_AFTER", 0.01)
        for number in range(3):
            log.say("token", number)
        assert journal.events == []
        assert await eventually(lambda: journal.events, 5)
        (event,) = journal.events
        assert (event.kind, event.step) == (EventKind.STREAM, at(1, 2))
        assert [entry.data for entry in narrate([event])][1:] == [0, 1, 2]

    async def test_much_is_given_at_once(self, log, journal):
        log.say("token", "x" * tasklog_module.SPILL_BYTES)
        assert len(journal.events) == 1

    async def test_nothing_is_given_twice(self, log, journal):
        log.say("token", "x")
        log.spill()
        log.spill()
        log.say("token", "y")
        log.spill()
        rows = [row[3] for event in journal.events for row in event.data]
        assert rows == ["x", "y"]

    async def test_readers_are_shown_what_the_journal_has_not_yet(self, log, journal):
        journal.quick = False
        log.say("token", "x")
        log.spill()
        assert said(log) == ["x"]


class TestForgetting:
    async def test_only_the_latest_are_kept_and_the_journal_has_the_rest(self, log, journal):
        for number in range(3 * KEPT):
            log.say("token", number)
        log.spill()
        log.say("token", "last")
        log.spill()
        await asyncio.sleep(0)
        kept = said(log, log.base)
        assert len(kept) <= KEPT + 1
        assert log.behind(STARTED)
        assert not log.behind(log.base)
        told = [
            entry.data for entry in narrate(journal.events) if at(1, 2) <= entry.step <= log.base
        ]
        assert [*told, *kept] == [*range(3 * KEPT), "last"]

    async def test_what_the_journal_has_not_is_kept(self, log, journal):
        journal.quick = False
        for number in range(3 * KEPT):
            log.say("token", number)
        log.spill()
        await asyncio.sleep(0)
        assert said(log) == list(range(3 * KEPT))
        journal.let_go()
        await asyncio.sleep(0)
        assert log.behind(STARTED)


class TestHoldingBack:
    async def test_an_agent_may_go_on_as_soon_as_it_was_heard(self, log):
        grants = []
        log.say("token", "x", grants.append)
        assert grants == [1]

    async def test_only_a_stuck_journal_holds_it_back_and_not_for_ever(
        self, log, journal, monkeypatch
    ):
        monkeypatch.setattr(tasklog_module, "MOST_BYTES", 10_000)
        monkeypatch.setattr(tasklog_module, "SPILL_BYTES", 1_000)
        journal.quick = False
        grants = []
        for _ in range(20):
            log.say("token", "x" * 1_000, grants.append)
        assert 5 < len(grants) < 15
        assert said(log) == ["x" * 1_000] * 20  # readers are shown all of it
        journal.quick = True
        journal.let_go()
        assert await eventually(lambda: len(grants) == 20, 5)
        log.say("token", "x", grants.append)
        assert len(grants) == 21

    async def test_while_the_journal_stands_still_words_gather_instead_of_queueing(
        self, log, journal, monkeypatch
    ):
        monkeypatch.setattr(tasklog_module, "SPILL_AFTER", 0.001)
        journal.quick = False
        log.say("token", 0)
        assert await eventually(lambda: journal.events, 5)
        for number in range(1, 100):
            log.say("token", number)
            await asyncio.sleep(0.001)
        assert len(journal.events) == 1
        journal.quick = True
        journal.let_go()
        assert await eventually(lambda: len(journal.events) == 2, 5)
        assert [row[3] for event in journal.events for row in event.data] == [*range(100)]

    async def test_what_was_said_last_does_not_wait_its_turn(self, log, journal):
        journal.quick = False
        log.say("token", "x")
        log.spill()
        log.say("token", "y")
        log.spill()  # as before the end
        assert [row[3] for event in journal.events for row in event.data] == ["x", "y"]

    async def test_in_a_long_outage_many_tasks_that_talk_take_little_memory(self, journal):
        """As many as a supervisor runs at once, each saying all that it may."""
        journal.quick = False
        logs = [TaskLog(f"t{number}", STARTED, journal.append, lambda: 7.0) for number in range(50)]
        gc.collect()
        tracemalloc.start()
        try:
            for log in logs:
                log.begin(1, 7.0, durable())
                await asyncio.sleep(0)
                grants = [1]
                while grants:
                    grants.clear()
                    log.say("token", {"text": "word "}, grants.append)
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            for log in logs:
                log.close()
        assert len(journal.events) <= len(logs)
        assert taken < 1.5 * len(logs) * tasklog_module.MOST_BYTES
