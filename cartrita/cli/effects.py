"""`cartrita effects`."""

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cartrita.cli.connection import connect
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json
from cartrita.cli.parameters import value_of
from cartrita.cli.quarantine import Limit
from cartrita.effects import State

app = typer.Typer(no_args_is_help=True, add_completion=False)


class Outcome(StrEnum):
    """What may have become of an effect."""

    DONE = "done"
    NOT_DONE = "not_done"


@app.callback()
def effects() -> None:
    """See what tasks did outside and settle doubts.

    An effect on the outside world is unknown when whoever began it died and nobody can tell
    whether it happened. You see yours, and administrators everybody's.
    """


@app.command("list")
def listing(
    ctx: typer.Context,
    *,
    state: Annotated[State, typer.Option(help="Which effects.")] = State.UNKNOWN,
    limit: Limit = 50,
    before: Annotated[
        str | None, typer.Option(metavar="EFFECT", help="Go on behind this effect.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List effects, those of the newest tasks first."""
    with connect(options_of(ctx)) as client:
        rows = client.effects(state.value, limit, before)
    if as_json:
        print_json(rows)
    elif rows:
        console().print(_table(rows))
    else:
        typer.echo(f"No effect is {state.value}.")


def _table(rows: list[dict[str, Any]]) -> Table:
    names = ("effectId", "name", "key", "taskId", "taskType", "user", "state", "begunAt")
    heads = ("Effect", "Name", "Key", "Task", "Type", "User", "State", "Begun at")
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(str(row.get(name, ""))) for name in names))
    return table


@app.command()
def resolve(
    ctx: typer.Context,
    effect_id: Annotated[str, typer.Argument(help="As `cartrita effects list` prints it.")],
    outcome: Annotated[Outcome, typer.Argument(help="Whether it happened.")],
    *,
    result: Annotated[
        str | None,
        typer.Option(help="What came of one that is done, as JSON or @FILE: for a task that asks."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what became of an unknown effect, once and for all.

    Ask the outside world first: it was given the effect's id as the idempotency key. A task
    that runs again takes your word for it.
    """
    found = None if result is None else value_of(result, "--result")
    with connect(options_of(ctx)) as client:
        row = client.resolve(effect_id, outcome.value, found)
    if as_json:
        print_json(row)
    else:
        typer.echo(f"The effect {effect_id} is {row.get('state')}.")
