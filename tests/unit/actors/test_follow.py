"""What readers of a task's log see, wherever the task is: the same, in one order, to the end."""

import asyncio
from contextlib import aclosing

import pytest

from actors import follow as follow_module
from actors import tasklog as tasklog_module
from cartrita.clock import new_id
from cartrita.errors import InvalidParameters, NotFound
from cartrita.story import step_of
from tests.support.processes import eventually
from tests.support.records import ADA, EVE
from tests.support.stage import begin, host_of, host_with, stage_tree, submit
from tests.support.troupe import TROUPE, told


@pytest.fixture(autouse=True)
def _hasty(hasty, monkeypatch):
    """Look again at once for a shard that went away, and write at once what is said."""
    monkeypatch.setattr(follow_module, "PAUSE", 0.001)
    monkeypatch.setattr(tasklog_module, "SPILL_AFTER", 0.001)


@pytest.fixture
async def tree(stage):
    async with stage_tree(stage, TROUPE) as running:
        yield running


def speak(tree, name="speak.steps", *, task_id, **parameters):
    return begin(tree.door, name, parameters=parameters, task_id=task_id)


def read(tree, task_id, after=None):
    """Begin to read."""
    return asyncio.create_task(told(tree, task_id, ADA, after))


def types(events):
    return [event["type"] for event in events]


def texts(events):
    return [event["data"]["text"] for event in events if event["type"] == "progress"]


def without_times(events):
    return [{key: value for key, value in event.items() if key != "at"} for event in events]


def in_order(events):
    """Whether there is no repeat and everything is in its place."""
    steps = [step_of(event["cursor"]) for event in events]
    return steps == sorted(set(steps))


async def accepted(tree, task_id):
    assert await eventually(lambda: tree.tables.stories.get(task_id), 5)


class TestLog:
    async def test_a_quick_task_that_nobody_watched_has_one_too(self, tree):
        answer = await submit(tree.door)
        events = await told(tree, answer["taskId"], ADA)
        assert types(events) == ["accepted", "queued", "started", "completed"]
        assert events[-1]["data"] == answer
        assert [event["attempt"] for event in events] == [0, 0, 1, None]

    async def test_what_a_task_says_is_read_while_it_works(self, tree, stage):
        task_id = new_id()
        asked = speak(tree, task_id=task_id, before=3, after=2)
        await stage.begun()
        async with aclosing(tree.door.events(task_id, ADA)) as events:
            seen = [await anext(events) for _ in range(6)]
            assert texts(seen) == ["0", "1", "2"]
            assert not asked.done()
            stage.release.set()
            seen += [event async for event in events]
        assert types(seen) == ["accepted", "queued", "started", *["progress"] * 5, "completed"]
        assert texts(seen) == ["0", "1", "2", "3", "4"]
        assert seen[-1]["data"] == await asked
        assert in_order(seen)

    async def test_the_words_of_a_text_come_whole_and_before_its_end(self, tree):
        text = " ".join(f"word{n}" for n in range(500))
        answer = await submit(tree.door, "speak.text", text)
        events = await told(tree, answer["taskId"], ADA)
        tokens = [event["data"]["text"] for event in events if event["type"] == "token"]
        assert "".join(tokens).strip() == text
        assert types(events)[:4] == ["accepted", "queued", "started", "progress"]
        assert types(events)[-2:] == ["token", "completed"]

    @pytest.mark.parametrize(
        ("name", "text", "last"),
        [("test.fail", "AgentFailed", "failed"), ("test.fail", "TaskTimeout", "timeout")],
    )
    async def test_every_end_has_its_name(self, tree, name, text, last):
        answer = await submit(tree.door, name, text)
        assert types(await told(tree, answer["taskId"], ADA))[-1] == last

    async def test_a_cancelled_task_says_so_to_whoever_reads(self, tree, stage):
        task_id = new_id()
        speak(tree, task_id=task_id)
        await stage.begun()
        reading = read(tree, task_id)
        await tree.door.cancel(task_id, ADA)
        assert types(await reading)[-1] == "cancelled"

    async def test_a_reader_may_come_before_the_task_runs(self, tree, stage):
        running = [begin(tree.door, "call.hold", str(n)) for n in range(2)]
        held = [begin(tree.door, "test.hold", str(n)) for n in range(8)]  # all its places
        for _ in range(8):
            await stage.begun()
        task_id = new_id()
        late = begin(tree.door, "test.hold", "late", task_id=task_id)
        await accepted(tree, task_id)
        reading = read(tree, task_id)
        stage.release.set()
        assert types(await reading) == ["accepted", "queued", "started", "completed"]
        await asyncio.gather(late, *running, *held)


class TestAgreement:
    async def test_a_late_reader_sees_the_same_as_one_who_was_there(self, tree, stage):
        task_id = new_id()
        asked = speak(tree, task_id=task_id, before=3, after=300)
        await stage.begun()
        reading = read(tree, task_id)
        stage.release.set()
        await asked
        assert without_times(await reading) == without_times(await told(tree, task_id, ADA))

    async def test_from_every_cursor_the_rest_is_read_without_gap_or_repeat(self, tree, stage):
        task_id = new_id()
        asked = speak(tree, task_id=task_id, before=4)
        await stage.begun()
        stage.endless.add("speech")
        await host_of(tree, "speaker").kill()  # so that there are two attempts
        await stage.begun()
        async with aclosing(tree.door.events(task_id, ADA)) as events:
            live = [await anext(events) for _ in range(13)]
        cursors = [event["cursor"] for event in live]
        for place, cursor in enumerate(cursors[:-1]):
            async with aclosing(tree.door.events(task_id, ADA, cursor)) as events:
                again = [await anext(events) for _ in range(len(live) - place - 1)]
            assert without_times(again) == without_times(live[place + 1 :])
        assert await tree.door.cancel(task_id, ADA)
        await asked
        whole = await told(tree, task_id, ADA)
        for place, event in enumerate(whole):
            assert await told(tree, task_id, ADA, event["cursor"]) == whole[place + 1 :]

    async def test_many_readers_at_their_own_pace_see_the_same(self, tree, stage):
        task_id = new_id()
        asked = speak(tree, task_id=task_id, before=1, after=200)
        await stage.begun()

        async def at_leisure(turns):
            seen = []
            async for event in tree.door.events(task_id, ADA):
                seen.append(event)
                for _ in range(turns):
                    await asyncio.sleep(0)
            return seen

        readers = [asyncio.create_task(at_leisure(turns)) for turns in (0, 1, 5, 20)]
        stage.release.set()
        await asked
        first, *others = await asyncio.gather(*readers)
        assert len(first) == 3 + 201 + 1
        assert all(other == first for other in others)

    async def test_a_slow_reader_is_served_from_the_journal(self, tree, stage, monkeypatch):
        monkeypatch.setattr(tasklog_module, "KEPT", 5)
        task_id = new_id()
        asked = speak(tree, task_id=task_id, before=1, after=600)
        await stage.begun()
        events = tree.door.events(task_id, ADA)
        seen = [await anext(events)]
        cell = tree.supervisors["system/0"].supervisor._cells[task_id]
        stage.endless.add("speech")  # its work goes on
        stage.release.set()
        assert await eventually(lambda: cell.log.behind(step_of(seen[0]["cursor"])), 5)
        await asked
        seen += [event async for event in events]
        assert texts(seen) == [str(n) for n in range(601)]
        assert in_order(seen)


class TestDeaths:
    async def test_a_new_attempt_begins_with_a_reset(self, tree, stage):
        task_id = new_id()
        asked = speak(tree, task_id=task_id, before=2)
        await stage.begun()
        reading = read(tree, task_id)
        await host_with(tree, task_id).kill()
        await stage.begun()
        stage.release.set()
        seen = await reading
        assert types(seen) == [
            *("accepted", "queued"),
            *("started", "progress", "progress", "retry"),
            *("reset", "started", "progress", "progress", "completed"),
        ]
        assert seen[5]["data"] == {"solo": True}
        assert [event["attempt"] for event in seen[2:-1]] == [1] * 4 + [2] * 4
        assert in_order(seen)
        assert seen[-1]["data"] == await asked
        assert without_times(await told(tree, task_id, ADA)) == without_times(seen)

    async def test_a_reader_goes_on_across_the_death_of_a_supervisor(self, tree, stage):
        task_id = new_id()
        asked = speak(tree, task_id=task_id, before=3, after=1)
        await stage.begun()
        async with aclosing(tree.door.events(task_id, ADA)) as events:
            seen = [await anext(events) for _ in range(6)]
            await tree.supervisors["system/0"].kill()
            await stage.begun()
            stage.release.set()
            seen += [event async for event in events]
        answer = await asked
        assert answer["result"]["attempt"] == 2
        assert texts(seen) == ["0", "1", "2", "0", "1", "2", "3"]
        assert types(seen)[6:8] == ["reset", "started"]
        assert in_order(seen)
        assert seen[-1]["data"] == answer

    async def test_a_task_that_may_not_run_twice_ends_for_its_readers_too(self, tree, stage):
        task_id = new_id()
        asked = speak(tree, "speak.once", task_id=task_id, before=1)
        await stage.begun()
        reading = read(tree, task_id)
        assert await eventually(lambda: len(tree.tables.stories[task_id]) == 3, 5)
        await tree.supervisors["system/0"].kill()
        seen = await reading
        assert (await asked)["reason"] == "OUTCOME_UNKNOWN"
        assert types(seen) == ["accepted", "queued", "started", "progress", "failed"]
        assert seen[-1]["data"]["reason"] == "OUTCOME_UNKNOWN"

    async def test_who_reads_a_quarantined_task_is_told(self, tree, stage):
        task_id = new_id()
        speak(tree, task_id=task_id, before=0)
        await stage.begun()
        reading = read(tree, task_id)
        for kills in range(3):
            await host_with(tree, task_id).kill()
            if kills < 2:
                await stage.begun()
        seen = await reading
        assert [event["attempt"] for event in seen if event["type"] == "started"] == [1, 2, 3]
        assert types(seen).count("retry") == 2
        assert seen[-1]["data"]["reason"] == "QUARANTINED"


class TestRefusal:
    async def test_another_s_log_is_not_there(self, tree):
        answer = await submit(tree.door)
        for task_id in (answer["taskId"], new_id()):
            with pytest.raises(NotFound):
                await told(tree, task_id, EVE)

    async def test_what_is_no_cursor_is_refused(self, tree):
        answer = await submit(tree.door)
        with pytest.raises(InvalidParameters, match="'yesterday'"):
            await told(tree, answer["taskId"], ADA, "yesterday")

    async def test_behind_the_end_there_is_nothing(self, tree):
        answer = await submit(tree.door)
        events = await told(tree, answer["taskId"], ADA)
        assert await told(tree, answer["taskId"], ADA, events[-1]["cursor"]) == []

    async def test_a_reader_that_leaves_leaves_nothing_behind(self, tree, stage):
        task_id = new_id()
        asked = speak(tree, task_id=task_id)
        await stage.begun()
        (session,) = tree.supervisors["system/0"]._server.sessions
        before = len(session._running)
        async with aclosing(tree.door.events(task_id, ADA)) as events:
            await anext(events)
            assert len(session._running) == before + 1
        assert await eventually(lambda: len(session._running) == before, 5)
        stage.release.set()
        assert (await asked)["status"] == "COMPLETED"
