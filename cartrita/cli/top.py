"""`cartrita top`."""

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cartrita.cli.connection import connect
from cartrita.cli.options import options_of
from cartrita.cli.output import console, print_json, print_line, state_style
from cartrita.client import Client
from cartrita.errors import NetworkFailed, ServiceUnavailable

COLUMNS = {
    "state": "State",
    "queueDepth": "Waiting",
    "inFlight": "Running",
    "restarts": "Restarts",
    "epoch": "Epoch",
    "pid": "Pid",
    "node": "Node",
    "agents": "Agents",
}
NUMBERS = {"queueDepth", "inFlight", "restarts", "epoch", "pid"}


def top(
    ctx: typer.Context,
    *,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.1)] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the tree as JSON, each time on one line.")
    ] = False,
) -> None:
    """Watch the live tree of actors; Ctrl-C ends it.

    Processes and nodes are for administrators only.
    """
    with connect(options_of(ctx)) as client:
        if once:
            _print(client.tree(), as_json=as_json)
            return
        try:
            _watch(client, interval, as_json=as_json)
        except KeyboardInterrupt:
            return


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        console().print(picture(found))


def _watch(client: Client, interval: float, *, as_json: bool) -> None:
    out = console()
    if as_json or not out.is_terminal:
        for found, problem in _looks(client, interval):
            if as_json:
                print_line(found if problem is None else {"problem": problem})
            else:
                out.print(picture(found, problem))
        return
    _live(client, interval, out)


def _live(client: Client, interval: float, out: Console) -> None:
    with Live(console=out, screen=True, auto_refresh=False) as live:
        for found, problem in _looks(client, interval):
            live.update(picture(found, problem), refresh=True)


def _looks(client: Client, interval: float) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yield the tree again and again; while it cannot be had, the last one and why."""
    found: dict[str, Any] = {}
    while True:
        problem = None
        try:
            found = client.tree()
        except (NetworkFailed, ServiceUnavailable) as error:
            problem = error.message
        yield found, problem
        time.sleep(interval)


def picture(found: dict[str, Any], problem: str | None = None) -> Group:
    """Return what one look saw: a line about all of it, and a row for each actor."""
    rows = list(_rows(found))
    shown = {name: title for name, title in COLUMNS.items() if any(_has(row, name) for row in rows)}
    table = Table(box=None, pad_edge=False)
    table.add_column("Name", no_wrap=True)
    for name, title in shown.items():
        table.add_column(title, justify="right" if name in NUMBERS else "left", no_wrap=True)
    for row in rows:
        table.add_row(Text(row["name"]), *(_cell(row, name) for name in shown))
    parts: list[Any] = [_summary(found), table]
    if problem:
        parts.insert(0, Text(problem, style="bold red"))
    return Group(*parts)


def _rows(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the actors from above, their names drawn as a tree."""
    if "orchestrator" in found:
        yield {**found["orchestrator"], "name": "orchestrator"}
    supervisors = found.get("supervisors") or []
    for place, supervisor in enumerate(supervisors, 1):
        last = place == len(supervisors)
        yield {**supervisor, "name": f"{'└─' if last else '├─'} {supervisor['id']}"}
        hosts = supervisor.get("hosts") or []
        for number, host in enumerate(hosts, 1):
            branch = "└─" if number == len(hosts) else "├─"
            yield {**host, "name": f"{'  ' if last else '│ '} {branch} {host['id']}"}
    yield from found.get("services") or []


def _has(row: dict[str, Any], name: str) -> bool:
    return row.get(name) not in (None, "", [])


def _cell(row: dict[str, Any], name: str) -> Text:
    value = row.get(name)
    if not _has(row, name):
        return Text("")
    if name == "state":
        return Text(str(value), style=state_style(str(value)))
    if name == "inFlight" and row.get("capacity") is not None:
        return Text(f"{value}/{row['capacity']}")
    if name == "agents":
        return Text(", ".join(map(str, row[name])))
    return Text(str(value))


def _summary(found: dict[str, Any]) -> Text:
    supervisors = found.get("supervisors") or []
    up = sum(supervisor.get("state") == "up" for supervisor in supervisors)
    running = sum(supervisor.get("inFlight") or 0 for supervisor in supervisors)
    waiting = sum(supervisor.get("queueDepth") or 0 for supervisor in supervisors)
    facts = [
        f"{up} of {len(supervisors)} supervisors up",
        f"{running} running",
        f"{waiting} waiting",
    ]
    if found.get("buildId"):
        facts.append(f"build {found['buildId']}")
    return Text(" · ".join(facts), style="bold")
