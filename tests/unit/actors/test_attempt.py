"""Attempts under way: streams that are fed in, and what is durable before it is shown."""

import asyncio

import pytest

from actors import tasklog as tasklog_module
from actors.hosting import Limits
from actors.inbox import ROOM
from cartrita.channel.frames import CREDIT
from cartrita.clock import new_id
from cartrita.errors import InvalidMessage, NotFound, ServiceUnavailable
from cartrita.history import violations
from cartrita.journal import ATTEMPT_SHIFT, EventKind
from tests.support.bench import running
from tests.support.processes import eventually
from tests.support.records import ADA, EVE
from tests.support.stage import begin, host_with, stage_tree, submit
from tests.support.troupe import TROUPE, told

pytestmark = pytest.mark.usefixtures("hasty")


@pytest.fixture
async def tree(stage):
    async with stage_tree(stage, TROUPE) as one:
        yield one


@pytest.fixture
async def bench(stage, tmp_path_factory):
    async with running(stage, tmp_path_factory.mktemp("b"), catalog=TROUPE) as one:
        yield one


class Stream:
    """Feeds a task, piece by piece."""

    def __init__(self, tree, name="listen.all", **fields):
        self.tree, self.task_id, self.sequence = tree, new_id(), -1
        self.asked = begin(tree.door, name, "reads", task_id=self.task_id, **fields)

    async def accepted(self):
        assert await eventually(lambda: self.task_id in self.tree.tables.stories, 5)

    async def feed(self, piece, data=None, sequence=None, who=ADA):
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        await self.tree.door.feed(self.task_id, who, piece, sequence, data)


@pytest.fixture
async def stream(tree):
    one = Stream(tree)
    await one.accepted()
    return one


class TestFeed:
    async def test_pieces_arrive_in_order_and_whole(self, stream):
        await stream.feed("start", "text/plain")
        for piece in ("one", b"two", {"three": 3}):
            await stream.feed("data", piece)
        await stream.feed("end")
        result = (await stream.asked)["result"]
        assert result["pieces"] == ["one", "b'two'", "{'three': 3}"]
        assert result["contentType"] == "text/plain"

    async def test_many_pieces_at_once_keep_their_order(self, stream):
        feeding = [asyncio.create_task(stream.feed("start"))]
        for number in range(3 * ROOM):
            await asyncio.sleep(0)
            feeding.append(asyncio.create_task(stream.feed("data", number)))
        await asyncio.gather(*feeding)
        await stream.feed("end")
        pieces = (await stream.asked)["result"]["pieces"]
        assert pieces == [str(number) for number in range(3 * ROOM)]

    async def test_a_piece_that_is_missing_is_noticed_and_a_repeat_does_no_harm(self, stream):
        await stream.feed("start")
        await stream.feed("data", "one")
        await stream.feed("data", "one", sequence=1)
        with pytest.raises(InvalidMessage, match="piece 2"):
            await stream.feed("data", "three", sequence=3)
        await stream.feed("data", "two")
        await stream.feed("end")
        assert (await stream.asked)["result"]["pieces"] == ["one", "two"]

    async def test_the_sender_waits_while_the_reader_does_not_read(self, tree, stage):
        stream = Stream(tree, "listen.late")
        assert await stage.begun() == "reads"
        await stream.feed("start")
        for number in range(ROOM):
            await stream.feed("data", number)
        waiting = asyncio.create_task(stream.feed("data", "last"))
        assert not (await asyncio.wait([waiting], timeout=0.05))[0]
        stage.release.set()
        await asyncio.wait_for(waiting, 5)
        await stream.feed("end")
        assert len((await stream.asked)["result"]["pieces"]) == ROOM + 1

    async def test_the_sender_waits_for_the_task_to_be_placed(self, stage):
        async with stage_tree(stage, TROUPE, limits=Limits(concurrency=1)) as tree:
            before = begin(tree.door, "test.hold")
            await stage.begun()
            stream = Stream(tree)
            await stream.accepted()
            feeding = asyncio.create_task(stream.feed("start"))
            assert not (await asyncio.wait([feeding], timeout=0.05))[0]
            stage.release.set()
            await asyncio.wait_for(feeding, 5)
            await stream.feed("end")
            assert (await stream.asked)["status"] == "COMPLETED"
            await before

    async def test_the_sender_to_a_task_that_is_cancelled_in_the_queue_is_told(self, stage):
        async with stage_tree(stage, TROUPE, limits=Limits(concurrency=1)) as tree:
            before = begin(tree.door, "test.hold")
            await stage.begun()
            stream = Stream(tree)
            await stream.accepted()
            feeding = asyncio.create_task(stream.feed("start"))
            assert not (await asyncio.wait([feeding], timeout=0.05))[0]
            await tree.door.cancel(stream.task_id, ADA)
            with pytest.raises(NotFound):
                await asyncio.wait_for(feeding, 5)
            assert (await stream.asked)["status"] == "CANCELLED"
            stage.release.set()
            await before

    async def test_a_task_that_takes_no_stream_refuses_one(self, tree, stage):
        stream = Stream(tree, "test.hold")
        await stage.begun()
        with pytest.raises(InvalidMessage, match=r"'test\.hold'"):
            await stream.feed("start")
        stage.release.set()
        await stream.asked

    async def test_what_has_ended_or_is_another_s_takes_nothing(self, tree, stream):
        with pytest.raises(NotFound):
            await stream.feed("start", who=EVE, sequence=0)
        await stream.feed("start")
        await stream.feed("end")
        await stream.asked
        with pytest.raises((NotFound, ServiceUnavailable)):
            await stream.feed("data", "late")


class TestFedOnce:
    async def test_a_fed_task_does_not_run_again(self, tree, stage):
        stream = Stream(tree, delivery="AT_LEAST_ONCE")
        await stream.accepted()
        await stream.feed("start")
        await stream.feed("data", "one")
        assert await stage.begun() == "one"
        await host_with(tree, stream.task_id).kill()
        answer = await stream.asked
        assert (answer["status"], answer["reason"]) == ("FAILED", "OUTCOME_UNKNOWN")

    async def test_its_successor_s_supervisor_knows_that_too(self, tree, stage):
        stream = Stream(tree, delivery="AT_LEAST_ONCE")
        await stream.accepted()
        await stream.feed("start")
        await stream.feed("data", "one")
        assert await stage.begun() == "one"
        await tree.supervisors["system/0"].kill()
        answer = await stream.asked
        assert (answer["status"], answer["reason"]) == ("FAILED", "OUTCOME_UNKNOWN")

    async def test_one_that_was_not_fed_yet_runs_again(self, tree, stage):
        stream = Stream(tree, "listen.late", delivery="AT_LEAST_ONCE")
        await stage.begun()
        await host_with(tree, stream.task_id).kill()
        await stage.begun()
        stage.release.set()
        await stream.feed("start")
        await stream.feed("data", "one")
        await stream.feed("end")
        answer = await stream.asked
        assert answer["result"]["pieces"] == ["one"]
        assert answer["metrics"]["retryCount"] == 1


class TestDurable:
    def types(self, heard):
        return [entry[1] for entry in heard.entries]

    async def test_nobody_is_shown_a_start_that_is_not_durable(self, bench, stage):
        task = bench.task("speak.steps", params={"before": 2})
        asked = bench.submit(task)
        await bench.submit(task, wait=False)
        bench.journal.hold = True
        heard, reading = bench.read(task)
        await stage.begun()
        assert await eventually(lambda: bench.journal.held_events, 5)
        assert self.types(heard) == ["accepted", "queued"]
        bench.journal.let_go()
        wanted = ["accepted", "queued", "started", "progress", "progress"]
        assert await eventually(lambda: self.types(heard) == wanted, 5)
        stage.release.set()
        assert (await asked)["status"] == "COMPLETED"
        assert await reading
        assert self.types(heard)[-1] == "completed"

    async def test_nobody_is_shown_a_loss_that_is_not_durable(self, bench, stage):
        task = bench.task("speak.steps", params={"before": 1})
        asked = bench.submit(task)
        await stage.begun()
        heard, reading = bench.read(task)
        assert await eventually(lambda: "progress" in self.types(heard), 5)
        bench.journal.hold = True
        await bench.kill("speaker")
        held = bench.journal
        assert await eventually(lambda: EventKind.RETRY in [e.kind for e in held.held_events], 5)
        await stage.begun()
        assert self.types(heard)[-1] == "progress"
        held.let_go()
        stage.release.set()
        await asked
        assert await reading
        expected = ["retry", "reset", "started", "progress", "completed"]
        assert self.types(heard)[4:] == expected

    async def test_nobody_is_shown_an_end_that_is_not_durable(self, bench, stage):
        task = bench.task("speak.steps", params={"before": 1})
        asked = bench.submit(task)
        await stage.begun()
        heard, reading = bench.read(task)
        assert await eventually(lambda: "progress" in self.types(heard), 5)
        bench.journal.hold = True
        stage.release.set()
        held = bench.journal
        assert await eventually(lambda: any(e.kind.terminal for e in held.held_events), 5)
        assert self.types(heard)[-1] == "progress"
        held.let_go()
        assert await reading
        assert heard.entries[-1][3] == await asked


class TestHoldingBack:
    async def test_a_slow_reader_does_not_hold_the_agent_back(self, bench, stage):
        task = bench.task("speak.steps", params={"before": 5 * CREDIT})
        asked = bench.submit(task)
        await bench.submit(task, wait=False)
        heard, reading = bench.read(task, credit=1)
        await stage.begun()  # everything was said
        assert len(heard.entries) == 1
        stage.release.set()
        assert (await asked)["status"] == "COMPLETED"
        reading.cancel()

    async def test_a_reader_who_waited_reads_all_of_it(self, bench, stage):
        task = bench.task("speak.steps", params={"before": 5 * CREDIT})
        asked = bench.submit(task)
        await bench.submit(task, wait=False)
        heard, reading = bench.read(task, credit=1)
        await stage.begun()
        for _ in range(10 * CREDIT):
            heard.credit.release()
        stage.release.set()
        await asked
        assert await reading
        texts = [entry[3]["text"] for entry in heard.entries if entry[1] == "progress"]
        assert texts == [str(number) for number in range(5 * CREDIT)]

    async def test_only_a_journal_that_is_stuck_holds_it_back(self, bench, stage, monkeypatch):
        monkeypatch.setattr(tasklog_module, "MOST_BYTES", 50_000)
        task = bench.task("speak.steps", params={"before": 3 * CREDIT, "size": 1_000})
        asked = bench.submit(task)
        await bench.submit(task, wait=False)
        bench.journal.hold = True
        cell = bench.supervisor._cells[task.task_id]
        assert await eventually(lambda: cell.log and cell.log._owed, 5)
        said = cell.log.last
        assert not (await asyncio.wait([asyncio.create_task(stage.begun())], timeout=0.1))[0]
        assert stage.played == []
        assert said <= cell.log.last < said + 2 * CREDIT
        bench.journal.let_go()
        assert await eventually(lambda: stage.played, 5)
        stage.release.set()
        assert (await asked)["status"] == "COMPLETED"


class TestPlannedEnd:
    async def test_a_host_that_is_replaced_costs_an_attempt_and_no_suspicion(self, tree, stage):
        asked = begin(tree.door, "test.hold")
        await stage.begun()
        supervisor = tree.supervisors["system/0"].supervisor
        await supervisor.fleet.restart("echo", grace=0.0)
        await stage.begun()
        crew = supervisor.fleet.crew("echo")
        assert crew.ward is None
        stage.release.set()
        answer = await asked
        assert answer["metrics"]["retryCount"] == 1
        assert await submit(tree.door)

    async def test_what_it_had_said_is_written_as_that_attempt_s_own(self, tree, stage):
        """And not together with what the next one says, behind the reset that parts them."""
        task_id = new_id()
        asked = begin(tree.door, "speak.steps", task_id=task_id)
        await stage.begun()
        await tree.supervisors["system/0"].supervisor.fleet.restart("speaker", grace=0.0)
        await stage.begun()
        stage.release.set()
        answer = await asked
        story = await tree.tables.story(task_id)
        assert not violations([story, await told(tree, task_id, ADA)], answers=[answer])
        said = [event for event in story if event.kind is EventKind.STREAM]
        assert [event.step >> ATTEMPT_SHIFT for event in said] == [1, 2]
