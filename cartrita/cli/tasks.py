"""`cartrita tasks`."""

from typing import Annotated

import typer

from cartrita.cli.connection import connect
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, print_json, print_outcome

app = typer.Typer(no_args_is_help=True, add_completion=False)

TaskId = Annotated[str, typer.Argument(help="As `cartrita run` prints it.")]


@app.callback()
def tasks() -> None:
    """Look at tasks and cancel them."""


@app.command()
def show(
    ctx: typer.Context,
    task_id: TaskId,
    *,
    wait: Annotated[float | None, typer.Option(help="Seconds to wait for its end.", min=0)] = None,
    as_json: AsJson = False,
) -> None:
    """Show where a task stands and, once it has ended, what became of it."""
    with connect(options_of(ctx)) as client:
        outcome = client.get(task_id) if wait is None else client.wait(task_id, wait)
    print_outcome(outcome, as_json=as_json)


@app.command()
def cancel(ctx: typer.Context, task_id: TaskId, *, as_json: AsJson = False) -> None:
    """Cancel a task that has not ended."""
    with connect(options_of(ctx)) as client:
        cancelled = client.cancel(task_id)
    if as_json:
        print_json({"taskId": task_id, "cancelled": cancelled})
    else:
        typer.echo(f"Task {task_id} {'is being cancelled' if cancelled else 'had ended already'}.")
