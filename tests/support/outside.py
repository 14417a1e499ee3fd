"""An outside world that counts, and agents with effects on it."""

import asyncio
import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from actors.local import local_tree
from cartrita.catalog import Catalog
from cartrita.clock import new_id
from cartrita.context import Context
from cartrita.declare import Agent, Params, probe, task
from cartrita.effects import Doubt, Finding, effect_id
from cartrita.errors import AgentFailed, NetworkFailed, NotDone
from cartrita.services import Services
from cartrita.storage.memory_effects import InMemoryEffectBook
from tests.support.stage import Said, Say, Stage, begin, host_of

How = Literal["truth", "unknown", "broken"]


class Outside:
    """Where letters arrive; it outlives whoever sends them.

    Attributes:
        arrived: How often each idempotency key came.
        sending, sent: Get the text of a letter before it arrives, and after.
        lets_arrive, lets_answer: A letter arrives, and its sender hears of it, once they are set.
        troubles: Raised instead of taking a letter, one by one.
        troubles_after: Raised instead of an answer, one by one.
        tells: What whoever asks about a letter is told.
    """

    def __init__(self) -> None:
        self.arrived: dict[str, int] = {}
        self.sending: asyncio.Queue[str] = asyncio.Queue()
        self.sent: asyncio.Queue[str] = asyncio.Queue()
        self.lets_arrive, self.lets_answer = asyncio.Event(), asyncio.Event()
        self.lets_arrive.set()
        self.lets_answer.set()
        self.troubles: list[Exception] = []
        self.troubles_after: list[Exception] = []
        self.tells: How = "truth"
        self.asked: list[Doubt] = []

    async def send(self, key: str, text: str) -> str:
        """Take a letter."""
        self.sending.put_nowait(text)
        await self.lets_arrive.wait()
        if self.troubles:
            raise self.troubles.pop(0)
        self.arrived[key] = self.arrived.get(key, 0) + 1
        self.sent.put_nowait(text)
        await self.lets_answer.wait()
        if self.troubles_after:
            raise self.troubles_after.pop(0)
        return f"receipt {len(self.arrived)}"

    def look(self, doubt: Doubt) -> Finding:
        """Say whether a letter arrived."""
        self.asked.append(doubt)
        if self.tells == "broken":
            raise NetworkFailed("nobody there")
        if self.tells == "unknown":
            return Finding.unknown()
        return Finding.done("found") if doubt.id in self.arrived else Finding.not_done()

    async def begun(self) -> str:
        """Wait until a letter is about to arrive."""
        return await asyncio.wait_for(self.sending.get(), 5)

    async def taken(self) -> str:
        """Wait until a letter arrived."""
        return await asyncio.wait_for(self.sent.get(), 5)


class Letter(Params):
    """What to send."""

    text: str = "hello"
    key: str = "ada"


class Postman(Agent, team="system", concurrency=8):
    """Sends letters, which can be traced, and parcels, which cannot."""

    def __init__(self, outside: Outside, stage: Stage) -> None:
        self._outside, self._stage = outside, stage

    @task("post.letter", effects=("letter",), timeout=20)
    async def letter(self, params: Letter, ctx: Context) -> Said:
        """Send a letter."""
        async with ctx.effect("letter", key=params.key) as effect:
            answer = await effect.once(self._outside.send, effect.id, params.text)
        return Said(text=answer, attempt=ctx.attempt)

    @task("post.parcel", effects=("parcel",), timeout=20)
    async def parcel(self, params: Letter, ctx: Context) -> Said:
        """Send a parcel."""
        async with ctx.effect("parcel", key=params.key) as effect:
            answer = await effect.once(self._outside.send, effect.id, params.text)
        return Said(text=answer, attempt=ctx.attempt)

    @task("post.both", effects=("letter",), timeout=20)
    async def both(self, params: Letter, ctx: Context) -> Said:
        """Wait for the test, send a letter, and wait for the test again."""
        await self._stage.play("before")
        async with ctx.effect("letter", key=params.key) as effect:
            if not effect.happened:
                effect.result = await self._outside.send(effect.id, params.text)
        self._stage.release.clear()
        await self._stage.play("after")
        return Said(text=effect.result, attempt=ctx.attempt)

    @task("post.stubborn", effects=("parcel",), timeout=20)
    async def stubborn(self, params: Letter, ctx: Context) -> Said:
        """Send a parcel and do not mind what becomes of it."""
        try:
            async with ctx.effect("parcel", key=params.key) as effect:
                await effect.once(self._outside.send, effect.id, params.text)
        except NetworkFailed:
            return Said(text="whatever", attempt=ctx.attempt)
        return Said(text="sent", attempt=ctx.attempt)

    @task("post.twice", effects=("letter",), timeout=20)
    async def twice(self, params: Letter, ctx: Context) -> Said:
        """Send two letters under one key."""
        for _ in range(2):
            async with ctx.effect("letter", key=params.key) as effect:
                await effect.once(self._outside.send, effect.id, params.text)
        return Said(text="two")

    @task("post.again", effects=("parcel",), timeout=20)
    async def again(self, params: Letter, ctx: Context) -> Said:
        """Send a parcel, and once more if it certainly was not taken."""
        for _ in range(2):
            try:
                async with ctx.effect("parcel", key=params.key) as effect:
                    await effect.once(self._outside.send, effect.id, params.text)
                break
            except NotDone:
                continue
        return Said(text="sent", attempt=ctx.attempt)

    @task("post.denies", effects=("parcel",), timeout=20)
    async def denies(self, params: Letter, ctx: Context) -> Said:
        """Find out in the block that there is nothing to do."""
        async with ctx.effect("parcel", key=params.key) as effect:
            effect.not_done()
        return Said(text="nothing to do")

    @task("post.thoughtless", effects=("parcel",), timeout=20)
    async def thoughtless(self, params: Letter, ctx: Context) -> Said:
        """Send a parcel without asking whether it was sent before."""
        async with ctx.effect("parcel", key=params.key) as effect:
            await self._outside.send(effect.id, params.text)
        return Said(text="sent")

    @task("post.huge", effects=("parcel",), timeout=20)
    async def huge(self, params: Letter, ctx: Context) -> Said:
        """Send a parcel with a receipt that nobody can keep."""
        async with ctx.effect("parcel", key=params.key) as effect:
            if not effect.happened:
                await self._outside.send(effect.id, params.text)
                effect.result = "x" * 100_000
        return Said(text=str(effect.result), attempt=ctx.attempt)

    @task("post.undeclared", effects=("parcel",), timeout=20)
    async def undeclared(self, params: Letter, ctx: Context) -> Said:
        """Have an effect that its declaration does not name."""
        async with ctx.effect("letter", key=params.key) as effect:
            await effect.once(self._outside.send, effect.id, params.text)
        return Said(text="sent")

    @task("post.fails", effects=("parcel",), timeout=20)
    async def fails(self, params: Letter, ctx: Context) -> Said:
        """Send a parcel and fail within its block."""
        async with ctx.effect("parcel", key=params.key) as effect:
            await effect.once(self._outside.send, effect.id, params.text)
            raise AgentFailed("It was the wrong one.")

    @task("post.office", idempotent=True, timeout=20)
    async def office(self, params: Say, ctx: Context) -> Said:
        """Have a letter sent by the postman, and wait for the test."""
        said = await ctx.call("post.letter", {"text": params.text}, into=Said)
        await self._stage.play("after")
        return Said(text=said.text, attempt=ctx.attempt)

    @probe("letter")
    async def arrived(self, doubt: Doubt, ctx: Context) -> Finding:
        """Trace a letter."""
        return self._outside.look(doubt)


POST = Catalog.of([Postman])


@asynccontextmanager
async def post_tree(outside, stage, **options):
    """Run the whole tree with the agent above; the tree has a `book` of its effects."""
    folder = Path(tempfile.mkdtemp(prefix="ctp-", dir="/tmp"))
    services = Services({Outside: lambda _: outside, Stage: lambda _: stage})
    try:
        async with local_tree(POST, services, folder, **options) as tree:
            tree.book = InMemoryEffectBook(tree.tables)
            yield tree
    finally:
        stage.release.set()
        outside.lets_arrive.set()
        outside.lets_answer.set()
        shutil.rmtree(folder)


UNKNOWN = ("FAILED", "AGENT_ERROR", "OUTCOME_UNKNOWN")


def posting(tree):
    """Return what sends something by the postman: it gives the task's id and its end to come."""

    def sends(name="letter", **fields):
        task_id = new_id()
        return task_id, begin(tree.door, f"post.{name}", task_id=task_id, **fields)

    return sends


def ended(answer):
    return answer["status"], answer.get("errorCode"), answer.get("reason")


async def row_of(tree, task_id, name="letter", key="ada"):
    return await tree.book.find(effect_id(task_id, name, key))


async def stands(tree, *where):
    return (await row_of(tree, *where)).state


async def kill_host(tree):
    await host_of(tree, "postman").kill()


async def kill_supervisor(tree):
    await tree.supervisors["system/0"].kill()
