"""`cartrita admin`."""

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cartrita.cli.connection import connect
from cartrita.cli.exits import Exit
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json
from cartrita.cli.parameters import parameters_of
from cartrita.cli.quarantine import Limit
from cartrita.protocol.command import ARGUMENTS, SUMMARY, CommandName

app = typer.Typer(no_args_is_help=True, add_completion=False)

CONFIRMED = {CommandName.SHUTDOWN, CommandName.EMERGENCY_STOP}
"""What is asked about first."""


@app.callback()
def admin() -> None:
    """Give commands to the tree, and see who gave which.

    A target is `tree`, a team, a shard such as `intelligence/0`, `agent:NAME`, or a host as
    `cartrita tree` shows it. Exits with 1 when a part of the target could not do it.
    """


@app.command()
def audit(
    ctx: typer.Context,
    *,
    limit: Limit = 50,
    before: Annotated[
        int | None, typer.Option(metavar="ENTRY", help="Go on behind this entry.", min=0)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what was commanded, newest first."""
    with connect(options_of(ctx)) as client:
        entries = client.audit(limit, before)
    if as_json:
        print_json(entries)
    else:
        console().print(_entries(entries))


def _entries(entries: list[dict[str, Any]]) -> Table:
    names = ("id", "at", "actor", "action", "target", "detail", "outcome")
    table = Table(*(name.capitalize() for name in names), box=None, pad_edge=False)
    for entry in entries:
        table.add_row(*(Text(_plain(entry.get(name))) for name in names))
    return table


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={_plain(item)}" for name, item in value.items())
    return "" if value is None else str(value)


def _command(command: CommandName) -> Callable[..., None]:
    """Return the function behind the command of that name."""
    takes = ", ".join(field.alias or "" for field in ARGUMENTS[command].model_fields.values())

    def run(
        ctx: typer.Context,
        target: Annotated[str, typer.Argument(help="`tree`, a team, a shard, an agent, a host.")],
        pairs: Annotated[
            list[str] | None,
            typer.Argument(metavar="[NAME=VALUE]...", help=f"Takes {takes or 'nothing'}."),
        ] = None,
        *,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
        as_json: AsJson = False,
    ) -> None:
        arguments = parameters_of(None, pairs or [])
        if command in CONFIRMED and not yes:
            typer.confirm(f"{command.value} {target}?", abort=True, err=True)
        with connect(options_of(ctx)) as client:
            answer = client.command(command.value, target, **arguments)
        _tell(answer, as_json=as_json)

    return run


def _tell(answer: dict[str, Any], *, as_json: bool) -> None:
    results = answer.get("results") or []
    if as_json:
        print_json(answer)
    for result in () if as_json else results:
        console().print(_line(result), soft_wrap=True)
    if not all(result.get("ok") for result in results):
        raise typer.Exit(Exit.FAILED)


def _line(result: dict[str, Any]) -> Text:
    good = bool(result.get("ok"))
    mark = ("ok  ", "green") if good else ("fail", "red")
    facts = {name: value for name, value in result.items() if name not in ("id", "ok")}
    told = " ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in facts.items()
        if value not in (None, "", [], {})
    )
    return Text.assemble(mark, " ", (str(result.get("id")), "bold"), f" {told}" if told else "")


for _name in CommandName:
    app.command(_name.lower().replace("_", "-"), help=SUMMARY[_name])(_command(_name))
