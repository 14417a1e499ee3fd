"""`cartrita keys`."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cartrita.cli.connection import connect
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json
from cartrita.cli.quarantine import Limit

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def keys() -> None:
    """Make, list and revoke API keys.

    Programs send a key in the place of a password and a token: set CARTRITA_TOKEN, or send it
    as `Authorization: Bearer …` or `X-API-Key`. You see yours, and administrators everybody's.
    """


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="For people: what it is for.")],
    *,
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="What it may be used for, as 'tasks:research.*'; repeat. By default tasks:* and "
            "agents:read.",
        ),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="Until it expires; 90 by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, now and never again."""
    with connect(options_of(ctx)) as client:
        made = client.create_key(name, scopes or None, days)
    if as_json:
        print_json(made)
        return
    typer.echo(made["key"])
    typer.echo(
        f"The key {made['keyId']} is for {', '.join(made['scopes'])} until {made['expiresAt']}. "
        "Keep it: it is not shown again.",
        err=True,
    )


@app.command("list")
def listing(
    ctx: typer.Context,
    *,
    limit: Limit = 50,
    before: Annotated[
        str | None, typer.Option(metavar="KEY", help="Go on behind this key.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List keys, the newest first."""
    with connect(options_of(ctx)) as client:
        rows = client.keys(limit, before)
    if as_json:
        print_json(rows)
    elif rows:
        console().print(_table(rows))
    else:
        typer.echo("There is no API key.")


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(
        "Key", "Name", "User", "Scopes", "Expires at", "Last used at", box=None, pad_edge=False
    )
    for row in rows:
        used = row.get("lastUsedAt") or "never"
        scopes = " ".join(row.get("scopes", ()))
        told = (row.get("keyId"), row.get("name"), row.get("user"), scopes, row.get("expiresAt"))
        table.add_row(*(Text(str(text)) for text in (*told, used)))
    return table


@app.command()
def revoke(
    ctx: typer.Context,
    key_id: Annotated[str, typer.Argument(help="As `cartrita keys list` prints it.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Take a key back, for good."""
    with connect(options_of(ctx)) as client:
        client.revoke_key(key_id)
    if as_json:
        print_json({"keyId": key_id, "revoked": True})
    else:
        typer.echo(f"The key {key_id} is revoked.")
