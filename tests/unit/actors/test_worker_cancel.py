"""What ends with an attempt that is cancelled, and what is left behind."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from actors.hosting import HostSpec
from actors.reach import HEARING
from actors.worker import WorkerHost
from cartrita.catalog import Catalog
from cartrita.channel.address import Address
from cartrita.channel.client import Exchange, connect
from cartrita.clock import ManualClock
from cartrita.context import Context
from cartrita.declare import Agent, Params, Result, task
from cartrita.services import Services
from cartrita.stream import Token
from cartrita.threads import PATIENCE
from tests.support.records import record


class Scene:
    """Where the agent below waits for the test."""

    def __init__(self):
        self.notes = asyncio.Queue()
        self.attention, self.release = asyncio.Event(), asyncio.Event()
        self.let_go = threading.Event()
        self.loop = asyncio.get_running_loop()

    def note(self, text):
        self.notes.put_nowait(text)

    def note_from_thread(self, text):
        self.loop.call_soon_threadsafe(self.note, text)

    async def noted(self):
        async with asyncio.timeout(30):
            return await self.notes.get()


class Nothing(Params):
    """Takes nothing."""


class Stubborn(Agent, team="system"):
    """Does not like to end."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    @task("stubborn.generate")
    async def generate(self, params: Nothing, ctx: Context) -> AsyncIterator[Token | Result]:
        """Write for ever."""
        try:
            yield Token("a")
            self._scene.note("begun")
            await asyncio.Event().wait()
        finally:
            self._scene.note("closed")
        yield Result()

    @task("stubborn.deaf")
    async def deaf(self, params: Nothing, ctx: Context) -> Result:
        """Not hear that it is cancelled, and go on talking."""
        self._scene.note("begun")
        try:
            await self._scene.release.wait()
        except asyncio.CancelledError:
            self._scene.note("overheard")
        try:
            await ctx.token("I am still here")
        except asyncio.CancelledError:
            self._scene.note("hushed")
        await self._scene.release.wait()
        return Result()

    @task("stubborn.compute")
    async def compute(self, params: Nothing, ctx: Context) -> Result:
        """Compute for ever."""
        return await ctx.in_thread(self._compute)

    def _compute(self) -> Result:
        try:
            self._scene.note_from_thread("begun")
            while True:
                pass
        finally:
            self._scene.note_from_thread("interrupted")

    @task("stubborn.native")
    async def native(self, params: Nothing, ctx: Context) -> Result:
        """Spend its time in C code."""
        return await ctx.in_thread(self._native)

    def _native(self) -> Result:
        try:
            self._scene.note_from_thread("begun")
            self._scene.let_go.wait(20)
        except BaseException:  # noqa: BLE001 - one call of C code heeds nothing, either
            self._scene.let_go.wait(20)
        return Result()

    @task("stubborn.orphan")
    async def orphan(self, params: Nothing, ctx: Context) -> Result:
        """Leave a thread and a talker behind."""

        async def talk():
            try:
                await self._scene.release.wait()
                await ctx.token("too late")
            finally:
                self._scene.note("hushed")

        self.left = [asyncio.create_task(ctx.in_thread(self._compute)), asyncio.create_task(talk())]
        await self._scene.attention.wait()
        return Result()


SPEC = HostSpec("system/0.shared.0.1", ("stubborn",), epoch=5, token="the token")


@pytest.fixture
async def scene():
    one = Scene()
    yield one
    one.release.set()
    one.let_go.set()


@pytest.fixture
async def clock():
    return ManualClock(100.0)


@pytest.fixture
async def supervisor(scene, clock, tmp_path):
    """Give a channel to a host whose clock the test moves."""
    catalog, services = Catalog.of([Stubborn]), Services({Scene: lambda _: scene})
    host = WorkerHost(SPEC, catalog, services, clock)
    address = await host.start(Address.unix(tmp_path / "s"))
    channel = await connect(address, token=SPEC.token, peer="system/0", epoch=SPEC.epoch)
    yield channel
    scene.release.set()
    channel.close()
    await host.stop()


@pytest.fixture
def heard():
    return []


@pytest.fixture
def run(supervisor, heard):
    """Give a function that begins an attempt."""

    def begin(name, timeout=60.0, **fields):
        payload = [record(task_type=name, params={}, **fields).pack(), 1, timeout]
        exchange = Exchange(heard.append)
        return asyncio.create_task(
            supervisor.request("run", payload, timeout + 5, exchange=exchange)
        )

    return begin


@pytest.fixture
def stuck(supervisor):
    """Give a function that asks how much is stuck."""

    async def ask():
        return (await supervisor.request("beat", None, 30))["stuck"]

    return ask


async def cancel(asked):
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_a_generator_is_closed(run, scene, stuck):
    asked = run("stubborn.generate")
    assert await scene.noted() == "begun"
    await cancel(asked)
    assert await scene.noted() == "closed"
    assert await stuck() == 0


async def test_a_generator_is_closed_at_its_deadline_and_what_it_said_is_heard(run, scene, heard):
    outcome = await run("stubborn.generate", timeout=0.05)
    assert outcome["status"] == "TIMEOUT"
    assert [await scene.noted(), await scene.noted()] == ["begun", "closed"]
    assert heard == [["token", {"text": "a"}]]


async def test_its_thread_is_interrupted(run, scene, stuck):
    asked = run("stubborn.compute")
    assert await scene.noted() == "begun"
    await cancel(asked)
    assert await scene.noted() == "interrupted"
    assert await stuck() == 0


async def test_its_thread_is_interrupted_at_the_deadline(run, scene):
    outcome = await run("stubborn.compute", timeout=0.05)
    assert outcome["status"] == "TIMEOUT"
    assert [await scene.noted(), await scene.noted()] == ["begun", "interrupted"]


async def test_a_thread_in_c_code_is_stuck_after_a_while(run, scene, stuck, clock):
    asked = run("stubborn.native")
    assert await scene.noted() == "begun"
    await cancel(asked)
    assert await stuck() == 0
    clock.advance(PATIENCE)
    assert await stuck() == 1
    scene.let_go.set()
    async with asyncio.timeout(5):
        while await stuck():
            pass


async def test_an_agent_that_does_not_hear_is_hushed_and_stuck_after_a_while(
    run, scene, stuck, clock, heard
):
    asked = run("stubborn.deaf")
    assert await scene.noted() == "begun"
    assert await stuck() == 0
    await cancel(asked)
    assert [await scene.noted(), await scene.noted()] == ["overheard", "hushed"]
    assert await stuck() == 0
    clock.advance(HEARING)
    assert await stuck() == 1
    scene.release.set()
    async with asyncio.timeout(5):
        while await stuck():
            pass
    assert heard == []


async def test_one_that_was_left_behind_is_stuck_even_if_its_task_runs_again(
    run, scene, stuck, clock
):
    first = run("stubborn.deaf", task_id="t1")
    assert await scene.noted() == "begun"
    await cancel(first)
    assert [await scene.noted(), await scene.noted()] == ["overheard", "hushed"]
    again = run("stubborn.deaf", task_id="t1")
    assert await scene.noted() == "begun"
    assert await stuck() == 0
    clock.advance(HEARING)
    assert await stuck() == 1
    scene.release.set()
    assert (await again)["status"] == "COMPLETED"
    assert await stuck() == 0


async def test_an_agent_that_is_at_work_is_not_stuck(run, scene, stuck, clock):
    asked = run("stubborn.deaf")
    assert await scene.noted() == "begun"
    for _ in range(3):
        assert await stuck() == 0
        clock.advance(HEARING)
    await cancel(asked)


async def test_what_an_attempt_left_running_ends_with_it(run, scene, heard):
    asked = run("stubborn.orphan")
    assert await scene.noted() == "begun"
    scene.attention.set()
    assert (await asked)["status"] == "COMPLETED"
    assert await scene.noted() == "interrupted"
    scene.release.set()
    assert await scene.noted() == "hushed"
    assert heard == []


async def test_a_supervisor_that_is_lost_cancels_everything(supervisor, run, scene):
    asked = run("stubborn.generate")
    assert await scene.noted() == "begun"
    supervisor.close()
    assert await scene.noted() == "closed"
    with pytest.raises(Exception, match="closed"):
        await asked
