"""`cartrita status`."""

from dataclasses import asdict
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from cartrita.cli.connection import Place, find
from cartrita.cli.exits import Exit
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json
from cartrita.client import Client
from cartrita.clock import iso
from cartrita.errors import CartritaError

TIMEOUT = 10.0
UNHEALTHY = "unhealthy"


def status(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Tell whether the instance runs and is healthy.

    Exits with 0 when tasks are accepted, degraded or not, and with 1 when they are not.
    """
    place = find(options_of(ctx))
    report = _report(place)
    if as_json:
        print_json(report)
    else:
        _print(report)
    if report["status"] not in ("healthy", "degraded"):
        raise typer.Exit(Exit.FAILED)


def _report(place: Place) -> dict[str, Any]:
    report: dict[str, Any] = {"url": place.url, "home": str(place.home)}
    if place.own and place.settings.embedded and place.state is None:
        return report | {"status": "not running", "instance": None, "health": None}
    if place.own and place.state:
        report["instance"] = asdict(place.state)
    try:
        with Client(place.url, timeout=TIMEOUT, retries=0, ca=place.ca) as client:
            health = client.health()
    except CartritaError as error:
        starting = bool(place.own and place.state and not place.state.ready)
        return report | {
            "status": "starting" if starting else "unreachable",
            "health": None,
            "problem": error.message,
        }
    return report | {"status": health.get("status", UNHEALTHY), "health": health}


def _print(report: dict[str, Any]) -> None:
    out = console()
    color = {"healthy": "green", "degraded": "yellow"}.get(report["status"], "red")
    out.print(Text.assemble((report["status"], color), "  ", report["url"]))
    problem = report.get("problem")
    if report["status"] == "not running":
        problem = f"No instance runs in {report['home']!r}: start one with `cartrita up`."
    if problem:
        out.print(Text(problem), soft_wrap=True)
    facts = _facts(report)
    if facts.row_count:
        out.print(facts)


def _facts(report: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    instance, health = report.get("instance") or {}, report.get("health") or {}
    if instance:
        table.add_row("owner", f"pid {instance['pid']}, since {iso(instance['started_at'])}")
    if health:
        table.add_row("version", f"{health.get('version')}, up {health.get('uptime', 0):.0f} s")
    for name, url in instance.get("urls", {}).items():
        table.add_row(name, Text(str(url)))
    for name, queue in health.get("queues", {}).items():
        busy = f"{queue['inFlight']} of {queue['capacity']} running, {queue['depth']} waiting"
        table.add_row(name, busy)
    for name, service in health.get("services", {}).items():
        table.add_row(name, Text("ok", "green") if service["ok"] else Text("down", "red"))
    return table
