"""Agents that do what a seed tells them: well, slowly, badly, or to the death of their host."""

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from cartrita.catalog import Catalog
from cartrita.context import Context, Usage
from cartrita.declare import Agent, Needs, Params, Result, probe, task
from cartrita.effects import Doubt, Finding
from cartrita.errors import InvalidParameters, NetworkFailed, NotDone
from tests.simulator.loop import Process, current

Deed = Literal[
    "quick", "slow", "fails", "talks", "calls", "offline", "poison", "wedge", "stubborn",
    "mails", "bounces", "static", "bomb",
]  # fmt: skip

MAILS = ("mails", "bounces", "static", "bomb")
"""Deeds with effects: they work, are refused, break off somewhere, or kill their host."""

KEYS = ("first", "second")
"""The effects of each of them."""

WORDS = 5


@dataclass(slots=True, eq=False)
class Run:
    """One attempt, as it really happened.

    Attributes:
        how: `running`, or how it ended: `done`, `failed`, `cancelled`.
    """

    task_id: str
    attempt: int
    deed: Deed
    process: Process
    began: float
    how: str = "running"
    ended: float = 0.0

    @property
    def alive(self) -> bool:
        """Whether it is at work now."""
        return self.how == "running" and self.process.alive


@dataclass(slots=True)
class Sink:
    """Where effects go: outside of every process, so it survives them all."""

    runs: dict[str, list[Run]] = field(default_factory=dict)
    mail: dict[str, int] = field(default_factory=dict)

    def take(self, key: str) -> None:
        """Take a piece of mail, and count it."""
        self.mail[key] = self.mail.get(key, 0) + 1
        asyncio.get_running_loop().trace.note("mail", key, self.mail[key])

    def begin(self, context: Context, deed: Deed) -> Run:
        """Note that an attempt began."""
        process, loop = current(), asyncio.get_running_loop()
        assert process, "agents run in a process"
        run = Run(context.task_id, context.attempt, deed, process, loop.time())
        self.runs.setdefault(context.task_id, []).append(run)
        loop.trace.note("runs", run.task_id, run.attempt, deed, "on", process.name)
        return run

    def end(self, run: Run, how: str) -> None:
        """Note how it ended."""
        loop = asyncio.get_running_loop()
        run.how, run.ended = how, loop.time()
        loop.trace.note(how, run.task_id, run.attempt)

    def of(self, task_id: str) -> list[Run]:
        """Return the attempts at a task."""
        return self.runs.get(task_id, [])


class Act(Params):
    """What to do.

    Attributes:
        seconds: How long it takes.
        until: Attempts after this one do as `quick` does.
    """

    deed: Deed
    seconds: float = 0.0
    until: int = 99


class Acted(Result):
    """What was done."""

    deed: str
    attempt: int


async def perform(sink: Sink, act: Act, context: Context) -> Acted:
    """Do it, and let the sink know."""
    well: Deed = "mails" if act.deed in MAILS else "quick"
    deed: Deed = act.deed if context.attempt <= act.until else well
    run = sink.begin(context, deed)
    try:
        if deed in MAILS:
            await _mail(sink, deed, act.seconds, context)
        else:
            await _do(deed, act.seconds, context)
    except asyncio.CancelledError:
        sink.end(run, "cancelled")
        raise
    except Exception:
        sink.end(run, "failed")
        raise
    sink.end(run, "done")
    return Acted(deed=deed, attempt=context.attempt)


async def _do(deed: Deed, seconds: float, context: Context) -> None:
    if deed in ("talks", "calls"):
        await (_talk if deed == "talks" else _call)(seconds, context)
    elif deed == "offline":
        raise NetworkFailed("as told")
    elif deed == "stubborn":
        await _ignore_everything()
    else:
        await asyncio.sleep(0.0 if deed == "quick" else seconds)
        if deed in LAST:
            await LAST[deed]()


async def _mail(sink: Sink, deed: Deed, seconds: float, context: Context) -> None:
    """Have two effects; what goes wrong does so before or after the second arrived."""
    name = "letter" if context.task_type == "post.traced" else "parcel"
    for key in KEYS:
        async with context.effect(name, key=key) as effect:
            await effect.once(_send, sink, effect.id, deed if key == KEYS[-1] else "mails", seconds)


async def _send(sink: Sink, key: str, deed: Deed, seconds: float) -> str:
    """Bring something on its way; half of what goes wrong does before it arrived."""
    await asyncio.sleep(seconds / 4)
    if deed == "bounces":
        raise NotDone("as told")
    early = int(key[-1], 16) % 2
    if not early or deed == "mails":
        sink.take(key)
    await asyncio.sleep(seconds / 4)
    if deed == "static":
        raise NetworkFailed("as told")
    if deed == "bomb":
        await _die()
    return key


async def _fail() -> None:
    raise InvalidParameters("as told")


async def _talk(seconds: float, context: Context) -> None:
    for number in range(WORDS):
        await context.token(f"{context.attempt}.{number} ")
        await asyncio.sleep(seconds / WORDS)
    context.spent(Usage(f"{context.attempt}", seconds=seconds))
    await context.progress(1.0, "said")


async def _call(seconds: float, context: Context) -> None:
    """Have two other agents do something, one of them in another team."""
    await context.call("mate.twice", {"deed": "quick"})
    both = (
        context.call("sleepy.twice", {"deed": "slow", "seconds": seconds / 10}),
        context.call("mate.twice", {"deed": "talks", "seconds": seconds / 10}),
    )
    await asyncio.gather(*both)


async def _die() -> None:
    process = current()
    assert process
    process.kill()
    await asyncio.get_running_loop().create_future()


async def _freeze() -> None:
    """Block the whole process, as a loop in C does."""
    process = current()
    assert process
    process.freeze()
    await asyncio.get_running_loop().create_future()


async def _ignore_everything() -> None:
    while True:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            continue


LAST = {"fails": _fail, "poison": _die, "wedge": _freeze}
"""What these do once their time is over."""


class Steady(Agent, team="system", concurrency=4, pool=(1, 3), intensity=3):
    """Shares its host."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    @task("steady.twice", idempotent=True, timeout=20)
    async def twice(self, params: Act, ctx: Context) -> Acted:
        """May run again."""
        return await perform(self._sink, params, ctx)

    @task("steady.once", timeout=20)
    async def once(self, params: Act, ctx: Context) -> Acted:
        """May not run again."""
        return await perform(self._sink, params, ctx)


class Mate(Agent, team="system", concurrency=2, pool=(1, 3), intensity=3):
    """Lives on the same host as the other."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    @task("mate.twice", idempotent=True, timeout=20, max_attempts=5)
    async def twice(self, params: Act, ctx: Context) -> Acted:
        """May run again."""
        return await perform(self._sink, params, ctx)


class Frail(
    Agent, team="system", needs=Needs(isolation="own"), concurrency=2, pool=(1, 2), intensity=2
):
    """Has a host of its own and is soon given up."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    @task("frail.twice", idempotent=True, timeout=20)
    async def twice(self, params: Act, ctx: Context) -> Acted:
        """May run again."""
        return await perform(self._sink, params, ctx)

    @task("frail.once", timeout=20)
    async def once(self, params: Act, ctx: Context) -> Acted:
        """May not run again."""
        return await perform(self._sink, params, ctx)


class Sleepy(Agent, team="intelligence", needs=Needs(isolation="own"), concurrency=1, pool=(0, 2)):
    """Has no host until somebody asks."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    @task("sleepy.twice", idempotent=True, timeout=30)
    async def twice(self, params: Act, ctx: Context) -> Acted:
        """May run again."""
        return await perform(self._sink, params, ctx)


class Post(Agent, team="system", concurrency=4, pool=(1, 3), intensity=3):
    """Has effects: letters can be traced, parcels cannot."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    @task("post.traced", effects=("letter",), timeout=20)
    async def traced(self, params: Act, ctx: Context) -> Acted:
        """Send letters."""
        return await perform(self._sink, params, ctx)

    @task("post.blind", effects=("parcel",), timeout=20)
    async def blind(self, params: Act, ctx: Context) -> Acted:
        """Send parcels."""
        return await perform(self._sink, params, ctx)

    @probe("letter")
    async def arrived(self, doubt: Doubt, ctx: Context) -> Finding:
        """Trace a letter; of some nobody can tell."""
        await asyncio.sleep(0.01)
        if int(doubt.id[-2], 16) % 4 == 0:
            return Finding.unknown()
        return Finding.done(doubt.id) if doubt.id in self._sink.mail else Finding.not_done()


CATALOG = Catalog.of([Steady, Mate, Post, Frail, Sleepy])
