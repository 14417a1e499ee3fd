"""The histories that a tree leaves in a real journal while parts of it die."""

import asyncio
import random
from contextlib import aclosing, suppress

import asyncpg
import pytest

from actors import asking as asking_module
from actors import door as door_module
from cartrita.clock import new_id
from cartrita.errors import InsufficientBudget, ServiceUnavailable
from cartrita.history import Sample, overspent, violations
from cartrita.journal import EventKind
from tests.support.durable_tree import durable_tree
from tests.support.records import ADA, EVE
from tests.support.stage import Stage, submit
from tests.support.troupe import TROUPE

pytestmark = pytest.mark.database

KINDS = ("test.echo", "test.hold", "test.once", "speak.steps", "speak.text", "speak.once")
KINDS += ("make.it", "call.echo", "call.hold", "call.away")
EACH = 4


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    for module in (asking_module, door_module):
        monkeypatch.setattr(module, "PAUSE", 0.01)


@pytest.fixture
def stage():
    return Stage()


@pytest.fixture
async def tree(stage, database_url):
    async with durable_tree(database_url, stage, TROUPE) as one:
        yield one


@pytest.fixture
async def sql(database_url):
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


class Crowd:
    """Clients who submit, wait, and read events, and note all that they hear."""

    def __init__(self, tree, seed):
        self.tree, self.random = tree, random.Random(seed)
        self.accepted, self.answers, self.heard = [], [], []

    async def run(self, name, who=ADA):
        """Submit a task and wait for its end; two more read its events meanwhile."""
        task_id = new_id()
        taken = await self.ask(name, who, task_id, wait=False)
        self.accepted.append(taken["taskId"])
        asked = self.ask(name, who, task_id, wait=True)
        answer, *_ = await asyncio.gather(asked, *(self.read(task_id, who) for _ in range(2)))
        self.answers += [answer, await self.tree.door.get(task_id, who)]

    async def ask(self, name, who, task_id, *, wait):
        """Submit it, and again while its shard is away."""
        while True:
            try:
                return await submit(self.tree.door, name, who=who, wait=wait, task_id=task_id)
            except ServiceUnavailable:
                await asyncio.sleep(0.01)

    async def read(self, task_id, who):
        """Read a task's events, dropping out and going on now and then."""
        heard = []
        while not heard or heard[-1]["attempt"] is not None:
            events = self.tree.door.events(task_id, who, heard[-1]["cursor"] if heard else None)
            async with aclosing(events):
                left = self.random.randint(1, 6)
                async for event in events:
                    heard.append(event)
                    left -= 1
                    if not left:
                        break
        self.heard.append(heard)


async def stories_of(tree, sql):
    """Return what the journal has of every task, sub-tasks included."""
    rows = await sql.fetch("SELECT DISTINCT task_id::text AS id FROM task_events")
    return [await tree.stories.story(row["id"]) for row in rows]


async def kill_everything(tree, stage):
    """Kill each host that works, and then a supervisor, once there is something to lose."""
    for _ in range(10):
        await stage.begun()
    for host in list(tree.hosts.started):
        await host.kill()
    for _ in range(3):
        await stage.begun()
    await tree.supervisors["system/0"].kill()
    await stage.begun()
    stage.release.set()


@pytest.mark.parametrize("seed", range(2))
async def test_histories_are_whole_whatever_dies(tree, stage, sql, seed):
    crowd = Crowd(tree, seed)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for name in KINDS * EACH:
            group.create_task(crowd.run(name))
        group.create_task(kill_everything(tree, stage))
    stories = await stories_of(tree, sql)
    assert not violations([*stories, *crowd.heard], answers=crowd.answers, accepted=crowd.accepted)
    kinds = {event.kind for story in stories for event in story}
    assert {EventKind.RETRY, EventKind.STREAM, EventKind.USED} <= kinds
    assert any(story[-1].epoch > story[0].epoch for story in stories)
    assert len(stories) > len(crowd.accepted) == len(KINDS) * EACH


async def test_what_is_missing_from_the_journal_is_noticed(tree, stage, sql):
    """The checker is no use if it finds nothing wrong with a journal that lost a row."""
    stage.release.set()
    crowd = Crowd(tree, 0)
    await crowd.run("speak.steps")
    await sql.execute("DELETE FROM task_events WHERE kind = $1", int(EventKind.STREAM))
    told = violations([*await stories_of(tree, sql), *crowd.heard])
    assert any("missing in story 0" in what for what in told)


async def test_no_budget_is_overdrawn_at_any_moment(tree, stage, sql, database_url):
    limit = 2_600_000_000
    for user in (ADA, EVE):
        await sql.execute(
            "INSERT INTO budgets (id, max_nano_usd) VALUES ($1, $2)", f"user:{user.user}", limit
        )
    samples, refused, crowd = [], 0, Crowd(tree, 0)

    async def sample():
        while True:
            for row in await sql.fetch("SELECT * FROM budgets"):
                counts = row["used_nano_usd"], row["reserved_nano_usd"]
                samples.append(Sample(row["id"], row["max_nano_usd"], *counts))
            await asyncio.sleep(0)

    async def one(who):
        nonlocal refused
        try:
            await crowd.run("test.echo", who)
        except InsufficientBudget:
            refused += 1

    sampling = asyncio.create_task(sample())
    await asyncio.gather(*(one(who) for who in (ADA, EVE) * 20))
    sampling.cancel()
    with suppress(asyncio.CancelledError):
        await sampling
    assert refused == 20
    assert len(samples) > 20
    assert any(sampled.reserved > 0 for sampled in samples)
    assert not overspent(samples)
