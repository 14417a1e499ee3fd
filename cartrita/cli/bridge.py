"""`cartrita bridge`."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cartrita.cli.bridge_check import check_command, differences_table
from cartrita.cli.connection import connect
from cartrita.cli.import_users import import_users
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json

app = typer.Typer(no_args_is_help=True, add_completion=False)

Reason = Annotated[str, typer.Argument(help="Why, for the audit log.")]


@app.callback()
def bridge() -> None:
    """Move from v2: compare, share out, go back.

    MIGRATION.md tells what became of each route, and how to move.
    """


@app.command()
def status(
    ctx: typer.Context,
    *,
    samples: Annotated[
        bool, typer.Option("--samples", help="Show the latest differences of each route.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell how v2's routes are shared out, and how the two sides' answers compared."""
    with connect(options_of(ctx)) as client:
        found = client.bridge()
    if as_json:
        print_json(found)
        return
    out = console()
    out.print(_standing(found))
    if found["comparisons"]:
        out.print(_comparisons(found["comparisons"]))
    for row in found["comparisons"] if samples else ():
        if row["sample"]:
            out.print(Text(f"\n{row['route']}, {row['sample'].get('at')}", "bold"))
            out.print(differences_table(row["sample"].get("differences", [])))


def _standing(found: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    where = found["v2Url"] or "none: the bridge answers all"
    table.add_row("v2", Text(f"{where}{' (away)' if found['v2Away'] else ''}"))
    table.add_row("share of the bridge", f"{found['share']:.0%}")
    table.add_row("shadow", found["shadow"])
    table.add_row("while v2 is away", found["whenAway"])
    state = Text("all to v2", "bold yellow") if found["rolledBack"] else Text("shared out", "green")
    if found["by"]:
        state.append(f", since {found['at']}, by {found['by']}", "default")
    table.add_row("switch", state)
    if found["reason"]:
        table.add_row("reason", Text(found["reason"]))
    return table


def _comparisons(rows: list[dict[str, Any]]) -> Table:
    names = ("route", "same", "different", "failed", "leftOut")
    heads = ("Route", "Same", "Different", "Failed", "Left out")
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        style = "red" if row["different"] else ""
        table.add_row(*(Text(str(row[name]), style) for name in names))
    return table


@app.command()
def rollback(ctx: typer.Context, reason: Reason = "", *, as_json: AsJson = False) -> None:
    """Send all of v2's routes to v2; returns when all gateways do so.

    Needs `migration.v2_url`. What is refused on purpose is refused still, and Socket.IO and
    `/health` stay here.
    """
    with connect(options_of(ctx)) as client:
        found = client.roll_back(reason)
    _tell(found, as_json=as_json)


@app.command()
def resume(ctx: typer.Context, reason: Reason = "", *, as_json: AsJson = False) -> None:
    """Share v2's routes out again, as the settings say."""
    with connect(options_of(ctx)) as client:
        found = client.resume(reason)
    _tell(found, as_json=as_json)


def _tell(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    elif found["rolledBack"]:
        typer.echo(f"All of v2's routes go to {found['v2Url']} now.")
    else:
        typer.echo(f"The bridge answers {found['share']:.0%} of the callers itself.")


@app.command()
def clear(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Begin to count anew how the two sides' answers compare."""
    with connect(options_of(ctx)) as client:
        client.clear_comparisons()
        if as_json:
            print_json(client.bridge())
            return
    typer.echo("The counts begin anew.")


app.command("check")(check_command)
app.command("import-users")(import_users)
