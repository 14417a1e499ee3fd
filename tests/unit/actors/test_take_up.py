"""A supervisor that starts anew takes up what its predecessor left."""

import asyncio
from functools import partial

import pytest

from actors import recovery
from cartrita.clock import SystemClock
from cartrita.protocol.task import Delivery
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from tests.support.bench import Bench, Told, running
from tests.support.processes import eventually
from tests.support.records import record


class Slow(Told):
    """A journal that tells of a page at a time, when the test says so."""

    def __init__(self, tables, shard):
        super().__init__(tables, shard)
        self.pages = asyncio.Semaphore(0)

    async def unfinished(self):
        async for found in super().unfinished():
            await self.pages.acquire()
            yield found


@pytest.fixture
async def left():
    """Return the tables of a supervisor that died with twenty tasks, and those tasks."""
    tables, now = JournalTables(), SystemClock().now()
    journal = InMemoryJournal(tables, "system/0")
    await journal.open()
    tasks = [
        record(str(number), task_type="test.hold", accepted_at=now, deadline=now + 20)
        for number in range(20)
    ]
    for task in tasks:
        await journal.admit(task)
    return tables, tasks


def successor(stage, folder, tables, journal=Told):
    bench = Bench(stage, folder, tables=tables)
    bench.journal = bench.supervisor._journal = journal(tables, "system/0")
    bench.supervisor._attempts._journal = bench.journal
    return bench


async def test_the_first_of_it_runs_while_the_rest_is_still_being_read(
    stage, left, tmp_path_factory, monkeypatch
):
    monkeypatch.setattr(recovery, "AT_ONCE", 1)
    tables, tasks = left
    bench = successor(stage, tmp_path_factory.mktemp("c"), tables, Slow)
    starting = asyncio.create_task(bench.start())
    try:
        for place, task in enumerate(tasks[:3]):
            bench.journal.pages.release()
            assert await stage.begun() == task.params["text"] == str(place)
        assert (bench.shown()["state"], bench.shown()["inFlight"]) == ("starting", 3)
        assert not starting.done()
        for _ in tasks[3:]:
            bench.journal.pages.release()
        await asyncio.wait_for(starting, 5)
        shown = bench.shown()
        assert (shown["state"], shown["inFlight"] + shown["queueDepth"]) == ("up", 20)
    finally:
        stage.release.set()
        await bench.supervisor.stop(grace=1)


async def test_what_was_ordered_before_is_obeyed_before_anything_runs(
    stage, left, tmp_path_factory
):
    tables, _ = left
    bench = successor(stage, tmp_path_factory.mktemp("c"), tables)
    start = bench.supervisor.start

    async def stopped():
        bench.supervisor.halt()

    bench.supervisor.start = partial(start, obey=stopped)
    await bench.start()
    try:
        assert await eventually(bench.fleet.ready, 5)
        shown = bench.shown()
        assert (shown["inFlight"], shown["queueDepth"], stage.played) == (0, 20, [])
    finally:
        await bench.supervisor.stop(grace=1)


async def test_a_start_that_cannot_be_written_down_holds_its_place_only_to_the_deadline(
    stage, tmp_path_factory
):
    async with running(stage, tmp_path_factory.mktemp("b")) as bench:
        assert await eventually(bench.fleet.ready, 5)
        once = {"delivery": Delivery.AT_MOST_ONCE, "deadline": bench.clock.now() + 0.5}
        task = bench.task("test.once", **once)
        admit = bench.journal.admit

        def admit_and_stand_still(record):
            verdict = admit(record)
            bench.journal.hold = True
            return verdict

        bench.journal.admit = admit_and_stand_still
        asked = bench.submit(task)
        assert await eventually(lambda: bench.shown()["inFlight"] == 1, 5)
        assert await eventually(lambda: bench.shown()["inFlight"] == 0, 5)
        assert not asked.done()
        bench.journal.let_go()
        assert (await asyncio.wait_for(asked, 5))["status"] == "TIMEOUT"
        assert stage.played == []
