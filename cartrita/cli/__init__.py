"""The command line: `cartrita`.

This file and what it imports stay light, because every completion and every `--help` loads
them. What a command needs is loaded when that command runs.
"""

from typing import Annotated

import typer

from cartrita.cli.group import Commands
from cartrita.cli.options import Options

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # what reaches them is a defect: show it as it is
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def cartrita(
    ctx: typer.Context,
    home: Annotated[
        str | None, typer.Option(help="Folder of the instance, instead of CARTRITA_HOME.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Address of the API, instead of this machine's instance.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting by its dotted name; repeat."),
    ] = None,
) -> None:
    """Run tasks of AI agents, and look after the instance that runs them."""
    ctx.obj = Options.of(home, url, assignments or [])


def main() -> None:
    """Run the command line (the entry point)."""
    app(prog_name="cartrita")
