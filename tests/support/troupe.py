"""Agents that speak while they work, call other agents, and listen to a stream."""

from collections.abc import AsyncIterator
from decimal import Decimal

from actors.local import LocalTree
from cartrita.catalog import Catalog
from cartrita.context import Context, ToolRun, Usage
from cartrita.cost.price import metered
from cartrita.declare import Agent, Needs, Params, Result, task
from cartrita.errors import CartritaError
from cartrita.stream import Progress, Token
from tests.support.stage import Echo, Said, Say, Stage


class Speech(Params):
    """What to say.

    `before` things are said at once, then the work waits for the test, then `after` more.
    """

    text: str = "speech"
    before: int = 3
    after: int = 0
    size: int = 0


class Heard(Result):
    """What was fed in."""

    pieces: list[str]
    content_type: str | None = None


class Speaker(Agent, team="system"):
    """Says things while it works."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @task("speak.steps", idempotent=True, timeout=30)
    async def steps(self, params: Speech, ctx: Context) -> Said:
        """Say some numbers, wait for the test, say some more."""
        padding = "x" * params.size
        for number in range(params.before):
            await ctx.progress(text=f"{number}{padding}")
        await self._stage.play(params.text)
        for number in range(params.before, params.before + params.after):
            await ctx.progress(text=f"{number}{padding}")
        return Said(text=params.text, attempt=ctx.attempt)

    @task("speak.once", timeout=30)
    async def once(self, params: Speech, ctx: Context) -> Said:
        """Say some numbers, wait for the test; may not run twice."""
        return await self.steps(params, ctx)

    @task("speak.text", idempotent=True)
    async def text(self, params: Speech, ctx: Context) -> AsyncIterator[Token | Progress | Said]:
        """Say the text word by word."""
        yield Progress(0.0, "begins")
        for word in params.text.split():
            yield Token(f"{word} ")
        yield Said(text=params.text, attempt=ctx.attempt)


class Listener(Agent, team="system"):
    """Reads what is fed in."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @task("listen.all", takes_stream=True, timeout=20)
    async def all(self, params: Say, ctx: Context) -> Heard:
        """Read everything to the end."""
        incoming = ctx.incoming()
        pieces = []
        async for piece in incoming:
            pieces.append(str(piece))
            self._stage.entered.put_nowait(str(piece))
        return Heard(pieces=pieces, content_type=incoming.content_type)

    @task("listen.late", takes_stream=True, timeout=20)
    async def late(self, params: Say, ctx: Context) -> Heard:
        """Read only when the test says so."""
        await self._stage.play(params.text)
        return await self.all(params, ctx)


class Caller(Agent, team="system", concurrency=2):
    """Has others do its work."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @task("call.echo", idempotent=True, timeout=20)
    async def echo(self, params: Say, ctx: Context) -> Said:
        """Have the text echoed."""
        said = await ctx.call("test.echo", {"text": params.text}, into=Said)
        return Said(text=f"heard {said.text}", attempt=ctx.attempt)

    @task("call.hold", idempotent=True, timeout=20)
    async def hold(self, params: Say, ctx: Context) -> Said:
        """Have another one wait for the test."""
        said = await ctx.call("test.hold", {"text": params.text}, into=Said)
        await self._stage.play(f"after {params.text}")
        return Said(text=f"{said.text} {said.attempt}", attempt=ctx.attempt)

    @task("call.once", timeout=20)
    async def once(self, params: Say, ctx: Context) -> Said:
        """Have another team wait for the test."""
        await ctx.call("away.hold", {"text": params.text}, timeout=params.number or None)
        return Said(text=params.text, attempt=ctx.attempt)

    @task("call.away", idempotent=True, timeout=20)
    async def away(self, params: Say, ctx: Context) -> Said:
        """Have another team wait for the test; may run twice."""
        await ctx.call("away.hold", {"text": params.text})
        return Said(text=params.text, attempt=ctx.attempt)

    @task("call.task", idempotent=True, timeout=20)
    async def any(self, params: Say, ctx: Context) -> Said:
        """Call the task that the text names, and tell how that failed."""
        try:
            result = await ctx.call(params.text, {"text": "AgentFailed"})
        except CartritaError as error:
            return Said(text=f"{type(error).__name__}: {error.code}")
        return Said(text=str(result))

    @task("call.seen", idempotent=True, timeout=20)
    async def seen(self, params: Say, ctx: Context) -> Said:
        """Tell what a sub-task knows of whom it works for."""
        return await ctx.call("test.seen", {"text": ""}, into=Said)

    @task("call.deep", idempotent=True, timeout=20)
    async def deep(self, params: Say, ctx: Context) -> Said:
        """Call itself until that is refused; tells how deep it came."""
        try:
            return await ctx.call("call.deep", {"number": params.number + 1}, into=Said)
        except CartritaError as error:
            return Said(text=f"{params.number} {error.code}")


class Away(Agent, team="intelligence", needs=Needs(isolation="own"), concurrency=50):
    """Works in another team."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @task("away.hold", idempotent=True, timeout=20)
    async def hold(self, params: Say, ctx: Context) -> Said:
        """Wait for the test."""
        await self._stage.play(params.text)
        return Said(text=params.text, attempt=ctx.attempt)


class Maker(Agent, team="system"):
    """Uses models and tools."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @task("make.it", idempotent=True, timeout=20, cost=metered("5", 1000))
    async def it(self, params: Say, ctx: Context) -> Said:
        """Use a model and a tool, wait for the test, use another model."""
        ctx.spent(Usage("model/a", 10, 5, Decimal("0.125"), seconds=0.5))
        ctx.note(ToolRun("calculator", {"expression": "6*7"}, "42", 0.25))
        await self._stage.play(params.text)
        ctx.spent(Usage("model/b", 1, 0, Decimal("0.5")))
        return Said(text=params.text, attempt=ctx.attempt)


TROUPE = Catalog.of([Echo, Speaker, Listener, Caller, Away, Maker])


async def told(tree: LocalTree, task_id: str, who, after=None) -> list[dict]:
    """Return all that a task says behind a cursor, to its end."""
    return [event async for event in tree.door.events(task_id, who, after)]
