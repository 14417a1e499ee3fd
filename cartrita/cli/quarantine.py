"""`cartrita quarantine`."""

from typing import Annotated, Any

import typer
from rich.json import JSON
from rich.table import Table
from rich.text import Text

from cartrita.cli.connection import connect
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json
from cartrita.cli.parameters import parameters_of

app = typer.Typer(no_args_is_help=True, add_completion=False)

TaskId = Annotated[str, typer.Argument(help="As `cartrita quarantine list` prints it.")]
Limit = Annotated[int, typer.Option(help="How many at most.", min=1, max=200)]


@app.callback()
def quarantine() -> None:
    """Decide about tasks that kill their workers.

    They wait here until they are retried or discarded: yours, and everybody's for
    administrators.
    """


@app.command("list")
def listing(
    ctx: typer.Context,
    *,
    limit: Limit = 50,
    before: Annotated[
        str | None, typer.Option(metavar="TASK", help="Go on behind this task.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the tasks about which nobody decided yet, newest first."""
    with connect(options_of(ctx)) as client:
        rows = client.quarantined(limit, before)
    if as_json:
        print_json(rows)
    elif rows:
        console().print(_table(rows))
    else:
        typer.echo("No task is quarantined.")


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("Task", "Type", "User", "Quarantined at", box=None, pad_edge=False)
    for row in rows:
        names = ("taskId", "taskType", "user", "endedAt")
        table.add_row(*(Text(str(row.get(name, ""))) for name in names))
    return table


@app.command()
def show(ctx: typer.Context, task_id: TaskId, *, as_json: AsJson = False) -> None:
    """Show all that is known of a task: its parameters, its attempts and what became of them."""
    with connect(options_of(ctx)) as client:
        found = client.inspect(task_id)
    if as_json:
        print_json(found)
    else:
        console().print(JSON.from_data(found), soft_wrap=True)


@app.command()
def retry(
    ctx: typer.Context,
    task_id: TaskId,
    pairs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=VALUE]...", help="Parameters that are different, as in `cartrita run`."
        ),
    ] = None,
    *,
    params: Annotated[
        str | None, typer.Option(help="All parameters as one JSON object, or @FILE.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a task as a new one, perhaps with other parameters."""
    given = parameters_of(params, pairs or [])
    with connect(options_of(ctx)) as client:
        if pairs and params is None:
            given = {**(client.inspect(task_id).get("parameters") or {}), **given}
        whole = given if pairs or params is not None else None
        new = client.retry(task_id, whole).task_id
    if as_json:
        print_json({"taskId": new, "retryOf": task_id})
    else:
        typer.echo(f"Task {task_id} is tried again as {new}: see `cartrita tasks watch {new}`.")


@app.command()
def discard(ctx: typer.Context, task_id: TaskId, *, as_json: AsJson = False) -> None:
    """Give a task up for good."""
    with connect(options_of(ctx)) as client:
        discarded = client.discard(task_id)
    if as_json:
        print_json({"taskId": task_id, "discarded": discarded})
    else:
        typer.echo(f"Task {task_id} {'is discarded' if discarded else 'was decided about before'}.")
