"""Tasks whose hosts died: found guilty or innocent, and quarantined."""

import asyncio
from contextlib import suppress

import pytest

from actors import crew as crew_module
from actors import fleet as fleet_module
from actors.fleet import Rules
from actors.slot import Pulse
from cartrita.catalog import Catalog
from cartrita.clock import SystemClock, new_id
from cartrita.context import Context
from cartrita.declare import Agent, task
from cartrita.errors import ChannelLost
from cartrita.journal import Event, EventKind
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from tests.support.processes import eventually
from tests.support.records import ADA, record
from tests.support.stage import (
    Echo,
    Said,
    Say,
    Stage,
    begin,
    crew_of,
    host_of,
    host_with,
    stage_tree,
    submit,
)

pytestmark = pytest.mark.usefixtures("hasty")


class Poison:
    """A task that kills whatever it runs on, as soon as it runs.

    Attributes:
        kills: How many tasks were at work on each host that it killed, itself included.
    """

    def __init__(self, tree, stage):
        self.tree, self.stage, self.kills = tree, stage, []
        self.ids = {}
        self.begun = asyncio.Queue()

    def brew(self, name="test.hold"):
        """Submit one; returns its answer to come."""
        task_id = new_id()
        text = f"poison {task_id}"
        self.ids[text] = task_id
        self.stage.endless.add(text)
        return begin(self.tree.door, name, text, task_id=task_id)

    async def work(self):
        """Kill the hosts of those that begin; others are noted in `begun`."""
        while True:
            text = await self.stage.entered.get()
            if text not in self.ids:
                self.begun.put_nowait(text)
                continue
            with suppress(LookupError):  # another one was quicker
                host = host_with(self.tree, self.ids[text])
                self.kills.append(len(host._host._attempts))
                await host.kill()


@pytest.fixture
async def poison(tree, stage):
    one = Poison(tree, stage)
    working = asyncio.create_task(one.work())
    yield one
    working.cancel()


async def losses(tree, task_id):
    """Return whether a task was alone with each host that died under it."""
    story = await tree.tables.story(task_id)
    return [event.data["solo"] for event in story if event.kind is EventKind.RETRY]


class TestGuilty:
    async def test_one_that_is_alone_is_quarantined_after_three_kills(self, tree, poison):
        answer = await asyncio.wait_for(poison.brew(), 10)
        assert (answer["status"], answer["errorCode"]) == ("FAILED", "AGENT_ERROR")
        assert answer["reason"] == "QUARANTINED"
        assert answer["metrics"]["retryCount"] == 2
        assert poison.kills == [1, 1, 1]
        assert await losses(tree, answer["taskId"]) == [True, True]
        (kept,) = await tree.quarantine.list(ADA)
        assert kept["taskId"] == answer["taskId"]

    async def test_one_that_dies_in_company_is_given_three_tries_alone(self, tree, stage, poison):
        neighbours = [begin(tree.door, "test.hold", str(n)) for n in range(4)]
        for _ in neighbours:
            await poison.begun.get()
        guilty = poison.brew()
        await poison.begun.get()  # a neighbour begins again, alone
        stage.release.set()
        answer = await asyncio.wait_for(guilty, 10)
        assert answer["reason"] == "QUARANTINED"
        assert poison.kills == [5, 1, 1, 1]
        assert await losses(tree, answer["taskId"]) == [False, True, True]
        for ended in await asyncio.gather(*neighbours):
            assert ended["status"] == "COMPLETED"
            assert await losses(tree, ended["taskId"]) == [False]

    async def test_two_are_both_found(self, tree, stage, poison):
        guilty = [poison.brew() for _ in range(2)]
        stage.release.set()
        for answer in await asyncio.wait_for(asyncio.gather(*guilty), 15):
            assert answer["reason"] == "QUARANTINED"
            assert await losses(tree, answer["taskId"]) == [False, True, True]
        assert (await submit(tree.door))["status"] == "COMPLETED"

    async def test_newcomers_are_served_while_it_is_being_found(self, tree, stage, poison):
        guilty = poison.brew()
        while not guilty.done():
            answer = await asyncio.wait_for(submit(tree.door), 5)
            assert answer["status"] == "COMPLETED"
        assert guilty.result()["reason"] == "QUARANTINED"

    async def test_one_that_may_run_only_twice_ends_after_two(self, tree, poison):
        answer = await asyncio.wait_for(poison.brew("test.twice"), 10)
        assert (answer["errorCode"], answer["reason"]) == ("AGENT_ERROR", "HOST_DIED")
        assert poison.kills == [1, 1]
        assert await tree.quarantine.list(ADA) == []

    async def test_one_that_may_not_run_twice_is_told_nothing_but_that(self, tree, poison):
        answer = await asyncio.wait_for(poison.brew("test.once"), 10)
        assert answer["reason"] == "OUTCOME_UNKNOWN"
        assert poison.kills == [1]

    async def test_it_is_found_by_its_channel_as_by_its_actor(self, tree, stage):
        asked = begin(tree.door, "test.hold")
        for _ in range(3):
            await stage.begun()
            sessions = host_of(tree, "echo")._host.server.sessions
            sessions.copy().pop().abort(ChannelLost("power cut"))
        answer = await asked
        assert (answer["reason"], answer["metrics"]["retryCount"]) == ("QUARANTINED", 2)


class TestInnocent:
    async def test_suspects_run_one_at_a_time_and_complete(self, tree, stage):
        asked = [begin(tree.door, "test.hold", str(n)) for n in range(4)]
        for _ in asked:
            await stage.begun()
        await host_of(tree, "echo").kill()
        await stage.begun()
        crew = crew_of(tree, "echo")
        assert crew.ward.host.residents == 1
        assert len(crew.suspects) == 3
        stage.release.set()
        answers = await asyncio.gather(*asked)
        assert {answer["status"] for answer in answers} == {"COMPLETED"}
        assert {answer["metrics"]["retryCount"] for answer in answers} == {1}

    async def test_a_suspect_can_be_cancelled_where_it_waits(self, tree, stage):
        ids = [new_id() for _ in range(3)]
        asked = {one: begin(tree.door, "test.hold", one, task_id=one) for one in ids}
        for _ in ids:
            await stage.begun()
        await host_of(tree, "echo").kill()
        runs = await stage.begun()
        waits, other = (one for one in ids if one != runs)
        assert await tree.door.cancel(waits, ADA)
        assert (await asked[waits])["status"] == "CANCELLED"
        stage.release.set()
        for one in (runs, other):
            assert (await asked[one])["status"] == "COMPLETED"
        assert stage.played.count(waits) == 1

    async def test_a_suspect_whose_time_runs_out_in_the_line_says_so(self, tree, stage):
        first = begin(tree.door, "test.hold", "first")
        await stage.begun()
        second = begin(tree.door, "test.hold", "second", within=1.0)
        await stage.begun()
        await host_of(tree, "echo").kill()
        assert await stage.begun() == "first"
        answer = await second
        assert (answer["status"], answer["metrics"]["retryCount"]) == ("TIMEOUT", 0)
        stage.release.set()
        assert (await first)["status"] == "COMPLETED"

    async def test_what_ran_on_a_host_that_gave_no_sign_of_life_is_suspected(self, stage):
        async with stage_tree(stage, rules=Rules(pulse=Pulse(0.01, 0.05))) as tree:
            asked = [begin(tree.door, "test.hold", str(n)) for n in range(2)]
            for _ in asked:
                await stage.begun()
            host = host_of(tree, "echo")
            host._host.server.service = Wedged()
            await stage.begun()
            assert host.died.done()
            stage.release.set()
            for answer in await asyncio.gather(*asked):
                assert answer["status"] == "COMPLETED"
                assert await losses(tree, answer["taskId"]) == [False]

    async def test_one_that_waits_in_the_ward_leaves_it_to_the_one_it_waits_for(self, stage):
        async with stage_tree(stage, Catalog.of([Echo, Late])) as tree:
            asked = begin(tree.door, "late.hold", "child")
            assert await stage.begun() == "before child"
            await host_of(tree, "late").kill()
            assert await stage.begun() == "before child"
            stage.endless.add("child")
            stage.release.set()
            assert await stage.begun() == "child"
            stage.endless.clear()
            await crew_of(tree, "echo").slots[0].host.handle.kill()
            answer = await asyncio.wait_for(asked, 10)
        assert answer["status"] == "COMPLETED"


class Late(Agent, team="system"):
    """Waits for the test before it calls for others."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @task("late.hold", idempotent=True, timeout=20)
    async def hold(self, params: Say, ctx: Context) -> Said:
        """Wait for the test, and have another one wait for it."""
        await self._stage.play(f"before {params.text}")
        return await ctx.call("test.hold", {"text": params.text}, into=Said)


class Wedged:
    """What answers for a host whose loop is blocked: nothing does."""

    async def handle(self, method, payload, call):
        await asyncio.Event().wait()


class TestQuarantinedGroup:
    async def test_it_works_one_at_a_time_and_then_as_before(
        self, tree, stage, poison, monkeypatch
    ):
        monkeypatch.setattr(crew_module, "QUARANTINE", 0.2)
        monkeypatch.setattr(fleet_module, "TICK", 0.01)
        crew = crew_of(tree, "frail")  # one restart is allowed
        for _ in range(2):
            assert await eventually(lambda: crew.slots[0].host, 5)
            lost = begin(tree.door, "frail.hold", "once", delivery="AT_MOST_ONCE")
            await poison.begun.get()
            await crew.slots[0].host.handle.kill()
            assert (await lost)["reason"] == "OUTCOME_UNKNOWN"
        assert await eventually(lambda: crew.quarantined, 5)
        asked = [begin(tree.door, "frail.hold", str(n)) for n in range(2)]
        await poison.begun.get()
        rows = {row["id"]: row for row in tree.supervisors["system/0"].supervisor.fleet.snapshot()}
        assert rows["system/0.frail.0"]["state"] == "quarantined"
        assert rows["system/0.frail.ward"]["inFlight"] == 1
        stage.release.set()
        for answer in await asyncio.gather(*asked):
            assert answer["status"] == "COMPLETED"
        assert await eventually(lambda: not crew.quarantined and crew.slots[0].host, 5)
        assert (await submit(tree.door, "frail.hold"))["status"] == "COMPLETED"


class TestSuccession:
    """What a new supervisor knows of the deaths that its predecessor saw."""

    @pytest.mark.parametrize("before", [[True], [True, True], [False, True], [False, False]])
    async def test_kills_count_across_supervisors(self, stage, before):
        tables = JournalTables()
        writer = InMemoryJournal(tables, "system/0")
        await writer.open()
        task = record(task_type="test.hold", deadline=SystemClock().now() + 60)
        await writer.admit(task)
        for attempt, solo in enumerate(before, 1):
            lost = Event.within(task.task_id, attempt, 2, EventKind.RETRY, {"solo": solo})
            await writer.append(lost)
        async with stage_tree(stage, tables=tables) as tree:
            for _ in range(3 - sum(before)):
                await stage.begun()
                host = host_with(tree, task.task_id)
                assert host._host._spec.host_id.startswith("system/0.shared.ward.")
                await host.kill()
            answer = await tree.door.get(task.task_id, ADA, wait=5)
            assert answer["reason"] == "QUARANTINED"
            assert answer["metrics"]["retryCount"] == len(before) + 2 - sum(before)

    async def test_a_suspect_is_still_one_after_its_supervisor_s_death(self, tree, stage):
        asked = [begin(tree.door, "test.hold", str(n)) for n in range(2)]
        for _ in asked:
            await stage.begun()
        await host_of(tree, "echo").kill()
        await stage.begun()
        await tree.supervisors["system/0"].kill()
        await stage.begun()
        crew = crew_of(tree, "echo")
        assert crew.ward.host.residents == 1
        assert len(crew.suspects) == 1
        stage.release.set()
        for answer in await asyncio.gather(*asked):
            assert answer["status"] == "COMPLETED"

    async def test_the_death_of_a_supervisor_makes_nobody_a_suspect(self, tree, stage):
        asked = begin(tree.door, "test.hold")
        await stage.begun()
        await tree.supervisors["system/0"].kill()
        await stage.begun()
        assert crew_of(tree, "echo").ward is None
        stage.release.set()
        answer = await asked
        assert await losses(tree, answer["taskId"]) == []
