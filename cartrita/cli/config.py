"""`cartrita config`."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json
from cartrita.config.load import explain

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def config() -> None:
    """Show the settings and where they come from."""


@app.command()
def show(
    ctx: typer.Context,
    *,
    origin: Annotated[
        bool, typer.Option("--origin", help="Say where each value comes from.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the settings in effect; secrets are masked."""
    rows = explain(options_of(ctx).overrides)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    table = Table("Setting", "Value", *(["Origin"] if origin else []), box=None, pad_edge=False)
    for row in rows:
        # Text, because a value may hold what Rich takes for markup.
        cells = (row.name, row.value, *([row.origin] if origin else []))
        table.add_row(*map(Text, cells))
    console().print(table)
