"""Agents that do what a test tells them, when it tells them."""

import asyncio
import shutil
import tempfile
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from actors.local import LocalHost, local_tree
from cartrita.catalog import Catalog
from cartrita.clock import SystemClock
from cartrita.context import Context, Usage
from cartrita.cost.price import per_call
from cartrita.declare import Agent, Needs, Params, Result, task
from cartrita.errors import leaves
from cartrita.protocol.task import TaskRequest
from cartrita.services import Services
from cartrita.telemetry.span import Sampling
from tests.support.records import ADA


class Stage:
    """Where the test meets the work: a port of the agents below.

    `entered` gets the text of each piece of work that began, `left` of each that was
    cancelled; all of them wait for `release`, but those in `endless`, which never end. While it
    is `broken`, no host can start.
    """

    def __init__(self) -> None:
        self.entered: asyncio.Queue[str] = asyncio.Queue()
        self.left: asyncio.Queue[str] = asyncio.Queue()
        self.release = asyncio.Event()
        self.played: list[str] = []
        self.endless: set[str] = set()
        self.broken = False

    async def play(self, text: str) -> None:
        """Begin, and wait for the test."""
        self.played.append(text)
        self.entered.put_nowait(text)
        try:
            await (asyncio.Event() if text in self.endless else self.release).wait()
        except asyncio.CancelledError:
            self.left.put_nowait(text)
            raise

    async def begun(self) -> str:
        """Wait until a piece of work began."""
        return await asyncio.wait_for(self.entered.get(), 5)

    async def cancelled(self) -> str:
        """Wait until a piece of work was cancelled."""
        return await asyncio.wait_for(self.left.get(), 5)


class Say(Params):
    """A text."""

    text: str = "hello"
    number: int = 0
    when: datetime | None = None
    which: UUID | None = None


class Said(Result):
    """The text."""

    text: str
    attempt: int = 1


class Echo(Agent, team="system", concurrency=8, intensity=3):
    """Answers, waits and fails."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @task("test.echo", idempotent=True, aliases=("echo",), cost=per_call("0.25"))
    async def echo(self, params: Say, ctx: Context) -> Said:
        """Answer at once."""
        return Said(text=params.text, attempt=ctx.attempt)

    @task("test.hold", idempotent=True, timeout=20)
    async def hold(self, params: Say, ctx: Context) -> Said:
        """Wait for the test; may run twice."""
        await self._stage.play(params.text)
        return Said(text=params.text, attempt=ctx.attempt)

    @task("test.once", timeout=20)
    async def once(self, params: Say, ctx: Context) -> Said:
        """Wait for the test; may not run twice."""
        await self._stage.play(params.text)
        return Said(text=params.text, attempt=ctx.attempt)

    @task("test.twice", idempotent=True, timeout=20, max_attempts=2)
    async def twice(self, params: Say, ctx: Context) -> Said:
        """Wait for the test; may run twice and no more."""
        await self._stage.play(params.text)
        return Said(text=params.text, attempt=ctx.attempt)

    @task("test.fail", cost=per_call("0.25"))
    async def fail(self, params: Say, ctx: Context) -> Said:
        """Fail with the named error of ours, or another."""
        kind = leaves().get(params.text, ZeroDivisionError)
        ctx.spent(Usage("model/a", 10, 5, Decimal("0.125")))
        raise kind("as told")

    @task("test.lose")
    async def lose(self, params: Say, ctx: Context) -> Said:
        """Await something that somebody else cancelled."""
        other = asyncio.get_running_loop().create_future()
        other.cancel()
        await other
        raise AssertionError

    @task("test.spend", cost=per_call("0.25"))
    async def spend(self, params: Say, ctx: Context) -> Said:
        """Use two models."""
        ctx.spent(Usage("model/a", 10, 5, Decimal("0.125")))
        ctx.spent(Usage("model/b", 1, 0, Decimal("0.5")))
        ctx.warn("nearly empty")
        ctx.measure("pages", 3)
        return Said(text=params.text)

    @task("test.seen")
    async def seen(self, params: Say, ctx: Context) -> Said:
        """Tell what the context holds."""
        who, budget = ctx.principal, ctx.budget
        told = [who.user, who.tenant, ctx.session_id, ctx.preferences.quality_level]
        told += [ctx.metadata, budget and budget.max_usd, ctx.remaining() > 0]
        return Said(text=str(told), attempt=ctx.attempt)


class Frail(Agent, team="system", needs=Needs(isolation="own"), intensity=1, concurrency=2):
    """Lives alone and is soon given up."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @task("frail.hold", idempotent=True, timeout=20)
    async def hold(self, params: Say, ctx: Context) -> Said:
        """Wait for the test."""
        await self._stage.play(params.text)
        return Said(text=params.text, attempt=ctx.attempt)


class Sleeper(Agent, team="intelligence", needs=Needs(isolation="own"), pool=(0, 1)):
    """Has no host until somebody asks."""

    @task("sleeper.echo", idempotent=True)
    async def echo(self, params: Say, ctx: Context) -> Said:
        """Answer at once."""
        return Said(text=params.text)


CATALOG = Catalog.of([Echo, Frail, Sleeper])


def services(stage: Stage) -> Services:
    """Return what the agents are given."""

    def give(_):
        if stage.broken:
            raise RuntimeError("The stage is broken.")
        return stage

    return Services({Stage: give, Sampling: lambda _: Sampling()})


def request(name="test.echo", text="hello", *, within=None, **fields):
    """Return what a client sends; `within` is a deadline in seconds from now."""
    parameters = fields.pop("parameters", {"text": text})
    if within is not None:
        fields["deadline"] = datetime.fromtimestamp(SystemClock().now() + within, UTC)
    return TaskRequest(task_type=name, parameters=parameters, **fields)


@asynccontextmanager
async def stage_tree(stage, catalog=CATALOG, **options):
    """Run the whole tree, with the agents above by default."""
    folder = Path(tempfile.mkdtemp(prefix="ctl-", dir="/tmp"))
    try:
        async with local_tree(catalog, services(stage), folder, **options) as tree:
            yield tree
    finally:
        stage.release.set()
        shutil.rmtree(folder)


def crew_of(tree, agent):
    """Return the crew that an agent belongs to."""
    for local in tree.supervisors.values():
        if agent in local.supervisor.fleet._crew_of:
            return local.supervisor.fleet.crew(agent)
    raise LookupError(agent)


def host_of(tree, agent) -> LocalHost:
    """Return the host that an agent lives on now, be it the ward."""
    crew = crew_of(tree, agent)
    hosts = [slot.host for slot in [*reversed(crew.all_slots())] if slot.host]
    busy = [host for host in hosts if host.residents] or hosts
    return busy[0].handle


def host_with(tree, task_id) -> LocalHost:
    """Return the host on which a task runs."""
    for host in tree.hosts.started:
        if task_id in host._host._attempts and not host.died.done():
            return host
    raise LookupError(task_id)


def submit(door, *args, who=ADA, wait=True, key=None, **fields):
    """Submit a task; the arguments are those of `request`."""
    return door.submit(request(*args, **fields), who, wait=wait, idempotency_key=key)


def begin(door, *args, **fields):
    return asyncio.create_task(submit(door, *args, **fields))
