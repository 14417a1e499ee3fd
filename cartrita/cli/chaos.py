"""`cartrita chaos`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from typing import Annotated, Any

import asyncpg
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cartrita.chaos.ground import Life, alone, breakable
from cartrita.chaos.load import Work
from cartrita.chaos.plan import SINGLE, Aim, Kind, kinds
from cartrita.chaos.report import Toll, failures, summary
from cartrita.chaos.run import Ground, Purse, run
from cartrita.chaos.sink import listening
from cartrita.cli.connection import Place, connect, find, sessions_of
from cartrita.cli.exits import Exit
from cartrita.cli.options import Options, options_of
from cartrita.cli.output import AsJson, console, print_json
from cartrita.cli.own_database import database_url
from cartrita.clock import SystemClock, new_id
from cartrita.config.settings import Settings
from cartrita.cost.budget import Ceiling
from cartrita.errors import ConfigurationInvalid, ServiceUnavailable
from cartrita.history import Sample
from cartrita.instance import paths_of
from cartrita.storage.postgres.budgets import PostgresBudgets

EFFECT = "chaos.effect"
DEADLINE = 600.0
STEPS = 20
"""How often a task that is followed tells its progress."""

PRICE = 1_000_000
"""Nano-USD that a task with an effect costs."""

MOST_SHOWN = 20
_SPREADS, _COLUMNS = ("repair", "recovery"), ("p50", "p99", "max")
_PATIENCE = 5.0

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def chaos() -> None:
    """Break this machine's instance under load, and count what was lost."""


def _kinds(text: str) -> tuple[Kind, ...]:
    try:
        return kinds([name.strip() for name in text.split(",") if name.strip()])
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from None


_LISTED = f"Separated by commas: {', '.join(SINGLE)}."


@app.command("run")
def run_(  # noqa: PLR0913 - one for each thing to choose
    ctx: typer.Context,
    *,
    kill: Annotated[str, typer.Option(help=f"What to kill by SIGKILL. {_LISTED}")] = "",
    pause: Annotated[str, typer.Option(help="What to stop for a while by SIGSTOP.")] = "",
    power_cut: Annotated[
        bool, typer.Option("--power-cut", help="Kill everything at once, then start it again.")
    ] = False,
    tasks: Annotated[int, typer.Option(help="How many tasks come.", min=1, max=1_000_000)] = 200,
    rate: Annotated[float, typer.Option(help="Tasks a second.", min=0.1, max=10_000)] = 50.0,
    every: Annotated[
        float, typer.Option(help="Seconds between two faults.", min=0.1, max=3600)
    ] = 2.0,
    hold: Annotated[
        float, typer.Option(help="Seconds that a pause lasts.", min=0.1, max=600)
    ] = 30.0,
    streams: Annotated[
        int, typer.Option(help="How many tasks are followed by their events.", min=0, max=1000)
    ] = 0,
    work: Annotated[float, typer.Option(help="Seconds a task works.", min=0, max=10)] = 0.04,
    stream_work: Annotated[
        float, typer.Option(help="Seconds a task works that is followed.", min=0, max=10)
    ] = 5.0,
    seed: Annotated[int, typer.Option(help="The same seed is the same plan.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Run a load against this machine's instance, break parts of it, and count.

    Only processes of the instance are touched. Exits with 1 when a task was lost, an effect was
    had twice or a budget exceeded, with 2 where it may not or cannot run.
    """
    options = options_of(ctx)
    aim = Aim(
        _kinds(kill), _kinds(pause), power_cut, tasks, rate, every, hold, streams, work, stream_work
    )  # fmt: skip
    if not (aim.kills or aim.pauses or aim.power_cut):
        raise typer.BadParameter("say what to break: --kill, --pause or --power-cut.")
    if aim.power_cut and (aim.kills or aim.pauses):
        raise typer.BadParameter("--power-cut leaves nothing for --kill and --pause.")
    with Console(stderr=True).status(f"{tasks} tasks come, {rate:g} a second …"):
        toll = _run(options, aim, seed)
    wrong = failures(toll)
    if as_json:
        print_json({**summary(toll), "ok": not wrong, "failures": wrong[:MOST_SHOWN]})
    else:
        _print(summary(toll), wrong)
    if wrong:
        raise typer.Exit(Exit.FAILED)


def _run(options: Options, aim: Aim, seed: int) -> Toll:
    place = _own(options)
    assert place.state
    paths = paths_of(place.settings)
    owner = breakable(paths, place.state)
    life = Life.of(owner)
    with connect(options) as client:
        names = [known.task_type for known in client.catalog()]
    with ExitStack() as stack:
        stack.enter_context(alone(paths))
        ground = Ground(
            place.url, sessions_of(place), owner.pid, lambda: life.again(paths)
        )  # fmt: skip
        if EFFECT not in names:
            typer.echo(
                "This instance has no task with an effect, so effects are not counted: set "
                "CARTRITA_CHAOS__SINK=true and start it again.",
                err=True,
            )
            work = Work("system.echo", _echo, DEADLINE)
            return asyncio.run(run(ground, aim, work, seed, SystemClock()))
        ground = replace(ground, tally=stack.enter_context(listening(paths.home / "chaos.json")))
        return asyncio.run(_with_budget(ground, aim, seed, place.settings))


def _echo(seconds: float, _followed: bool) -> dict[str, Any]:  # noqa: FBT001 - its caller's form
    return {"payload": None, "delayMs": round(seconds * 1000)}


def _effect(seconds: float, followed: bool) -> dict[str, Any]:  # noqa: FBT001 - as above
    return {"workMs": round(seconds * 1000), "says": STEPS if followed else 0}


def _own(options: Options) -> Place:
    """Return this machine's instance, if that is what the options mean.

    Raises:
        ConfigurationInvalid: It is somewhere else.
        ServiceUnavailable: None runs.
    """
    place = find(options)
    if not place.settings.embedded:
        raise ConfigurationInvalid(
            "Chaos is for an instance that one owner on this machine started with `cartrita up`; "
            "the settings name a Ray that somebody else runs (CARTRITA_RAY__ADDRESS or "
            "RAY_ADDRESS), whose processes are not ours to kill."
        )
    if not place.own:
        raise ConfigurationInvalid(
            f"--url {place.url!r} is not the instance in {str(place.home)!r}: chaos can only "
            "break the one whose home it is given."
        )
    if place.state is None:
        raise ServiceUnavailable(
            f"No instance runs in {str(place.home)!r}: start one with `cartrita up`."
        )
    return place


async def _with_budget(ground: Ground, aim: Aim, seed: int, settings: Settings) -> Toll:
    """Run tasks with an effect, all charged to a budget that holds exactly what they cost."""
    workspace = f"chaos-{new_id()}"
    work = Work(EFFECT, _effect, DEADLINE, workspace)
    async with _purse(settings, f"tenant:{workspace}", aim.tasks * PRICE) as purse:
        return await run(replace(ground, purse=purse), aim, work, seed, SystemClock())


class _Purse:
    """One budget of the instance's database."""

    def __init__(self, budgets: PostgresBudgets, name: str) -> None:
        self._budgets, self._name = budgets, name

    async def balance(self) -> Sample:
        """Return what it holds."""
        (held,) = await self._budgets.find([self._name])
        return Sample(self._name, held.ceiling.nano_usd, held.used_nano, held.reserved_nano)


@asynccontextmanager
async def _purse(settings: Settings, name: str, ceiling: int) -> AsyncIterator[Purse]:
    async with asyncpg.create_pool(
        database_url(settings), min_size=0, max_size=2, timeout=_PATIENCE, command_timeout=_PATIENCE
    ) as pool:
        budgets = PostgresBudgets(pool)
        await budgets.put(name, Ceiling(ceiling))
        try:
            yield _Purse(budgets, name)
        finally:
            await budgets.drop(name)


def _print(found: dict[str, Any], wrong: list[str]) -> None:
    out = console()
    counts = Table(box=None, show_header=False, pad_edge=False)
    for name in ("tasks", "accepted", "refused", "lost", "duplicated", "missing", "overBudget",
                 "violations", "seconds"):  # fmt: skip
        value = found[name]
        counts.add_row(name, "not counted" if value is None else str(value))
    for name in ("ends", "errors", "answers", "streams"):
        told = ", ".join(f"{key} {value}" for key, value in found[name].items())
        counts.add_row(name, Text(told or "none"))
    out.print(counts)
    out.print(_faults(found["faults"]))
    for text in wrong[:MOST_SHOWN]:
        out.print(Text(text, style="red"), soft_wrap=True)
    out.print(Text("Nothing was lost.", "green") if not wrong else Text("FAILED", "bold red"))


def _faults(found: dict[str, Any]) -> Table:
    """Return what each kind of fault cost, in seconds."""
    table = Table("Fault", "Hit", box=None, pad_edge=False)
    for what in _SPREADS:
        for column in _COLUMNS:
            table.add_column(f"{what} {column}", justify="right")
    table.add_column("tasks met", justify="right")
    for name, fault in found.items():
        times = [
            fault[what][one] for what in ("repair", "recovery") for one in ("p50", "p99", "max")
        ]
        shown = ["-" if time is None else f"{time:.2f}" for time in times]
        hit = f"{fault['hit']} of {fault['planned']}"
        table.add_row(name, hit, *shown, str(fault["recovery"]["count"]))
    return table
