"""`cartrita answers`."""

from typing import Annotated

import typer

from cartrita.cli.connection import connect
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, print_json

app = typer.Typer(no_args_is_help=True, add_completion=False)

Owner = Annotated[
    str | None,
    typer.Argument(metavar="[OWNER]", help="`user:ID` or `tenant:ID`; yourself if left out."),
]


@app.callback()
def answers() -> None:
    """Erase answers that are kept to be given again.

    Task types that are cacheable are answered once for the same question, or for one that means
    the same. Users erase what was answered to them, administrators anybody's.
    """


@app.command()
def erase(ctx: typer.Context, owner: Owner = None, *, as_json: AsJson = False) -> None:
    """Delete a user's kept answers, or all of a tenant's."""
    if owner is not None and owner.partition(":")[0] not in ("user", "tenant"):
        raise typer.BadParameter("It is `user:ID` or `tenant:ID`.", param_hint="OWNER")
    with connect(options_of(ctx)) as client:
        told = client.erase_answers(owner or f"user:{client.me().id}")
    if as_json:
        print_json(told)
    else:
        typer.echo(f"{told['erased']} are erased; by {told['goneBy']} no host has any either.")
