"""`cartrita top`."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from cartrita.cli.connection import connect
from cartrita.cli.options import options_of
from cartrita.cli.output import console, print_json, print_line
from cartrita.cli.rates import teams
from cartrita.cli.top_picture import Order, Picture
from cartrita.client import Client
from cartrita.errors import NetworkFailed, ServiceUnavailable


@dataclass(frozen=True, slots=True)
class Look:
    """What one look saw.

    Attributes:
        tree: As `GET /v3/tree` gives it; the last one while it cannot be had.
        teams: What happened since the look before, as `cartrita.cli.rates` has it.
        problem: Why it cannot be had.
    """

    tree: dict[str, Any] = field(default_factory=dict)
    teams: list[dict[str, Any]] = field(default_factory=list)
    problem: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return plain values."""
        if self.problem is not None:
            return {"problem": self.problem}
        return {**self.tree, "teams": self.teams}


def top(
    ctx: typer.Context,
    *,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.1)] = 1.0,
    once: Annotated[
        bool, typer.Option("--once", help="Look twice, so that there are rates, print, and end.")
    ] = False,
    sort: Annotated[Order, typer.Option(help="What comes first.")] = Order.NAME,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the tree as JSON, each time on one line.")
    ] = False,
) -> None:
    """Watch the live tree of actors; Ctrl-C ends it.

    First what each team does: tasks and failures a second, the time in which 95 of 100 end, what
    waits and runs, money an hour, the journal's entries a write and its time. Then every process.
    Rates, processes and nodes are for administrators only.
    """
    with connect(options_of(ctx)) as client:
        try:
            if once:
                _once(client, interval, sort, as_json=as_json)
            else:
                _watch(client, interval, sort, as_json=as_json)
        except KeyboardInterrupt:
            return


def _once(client: Client, interval: float, sort: Order, *, as_json: bool) -> None:
    before, began = client.tree(), time.monotonic()
    time.sleep(interval)
    found = client.tree()
    look = Look(found, teams(found, before, time.monotonic() - began))
    if as_json:
        print_json(look.to_wire())
    else:
        console().print(picture(look, sort))


def picture(look: Look, sort: Order = Order.NAME) -> Picture:
    """Return what one look saw, for people."""
    return Picture(look.tree, look.teams, look.problem, sort)


def _watch(client: Client, interval: float, sort: Order, *, as_json: bool) -> None:
    out = console()
    if not as_json and out.is_terminal:
        _live(client, interval, out, sort)
        return
    for look in _looks(client, interval):
        if as_json:
            print_line(look.to_wire())
        else:
            out.print(picture(look, sort))


def _live(client: Client, interval: float, out: Console, sort: Order = Order.NAME) -> None:
    with Live(console=out, screen=True, auto_refresh=False) as live:
        for look in _looks(client, interval):
            live.update(picture(look, sort), refresh=True)


def _looks(client: Client, interval: float) -> Iterator[Look]:
    """Yield the tree again and again; while it cannot be had, the last one and why."""
    last, at = Look(), time.monotonic()
    while True:
        try:
            found, now = client.tree(), time.monotonic()
        except (NetworkFailed, ServiceUnavailable) as error:
            yield Look(last.tree, last.teams, error.message)
        else:
            last, at = Look(found, teams(found, last.tree, now - at)), now
            yield last
        time.sleep(interval)
