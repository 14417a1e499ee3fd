"""`cartrita tasks`."""

from typing import Annotated, Any

import typer

from cartrita.cli.connection import connect
from cartrita.cli.exits import Exit, exit_of, line_of
from cartrita.cli.listing import listing
from cartrita.cli.narration import Narration
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, print_json, print_line, print_outcome
from cartrita.cli.storybook import print_brief
from cartrita.client import Client
from cartrita.errors import InvalidParameters, NotFound

app = typer.Typer(no_args_is_help=True, add_completion=False)

TaskId = Annotated[str, typer.Argument(help="As `cartrita run` prints it.")]


@app.callback()
def tasks() -> None:
    """List tasks, look at them, watch, cancel and retry them."""


app.command("list")(listing)


@app.command()
def show(
    ctx: typer.Context,
    task_id: TaskId,
    *,
    wait: Annotated[float | None, typer.Option(help="Seconds to wait for its end.", min=0)] = None,
    as_json: AsJson = False,
) -> None:
    """Show where a task stands, what it took, and what became of it.

    `cartrita replay` tells the whole story.
    """
    with connect(options_of(ctx)) as client:
        outcome = client.get(task_id) if wait is None else client.wait(task_id, wait)
        story = None if as_json else _story(client, task_id)
    print_outcome(outcome, as_json=as_json)
    if story:
        print_brief(story)


def _story(client: Client, task_id: str) -> dict[str, Any] | None:
    """Return a task's story, unless that was forgotten; its outcome says so then."""
    try:
        return client.story(task_id)
    except NotFound:
        return None


@app.command()
def cancel(
    ctx: typer.Context,
    task_ids: Annotated[list[str], typer.Argument(metavar="TASK...", help="One or more.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON per task.")] = False,
) -> None:
    """Cancel tasks that have not ended.

    One that cannot be cancelled keeps nobody from cancelling the others.
    """
    worst = Exit.OK
    with connect(options_of(ctx)) as client:
        for task_id in task_ids:
            try:
                cancelled = client.cancel(task_id)
            except (InvalidParameters, NotFound) as error:
                typer.echo(f"cartrita: {line_of(error)}", err=True)
                worst = exit_of(error)
                continue
            _tell(task_id, cancelled=cancelled, as_json=as_json)
    if worst:
        raise typer.Exit(worst)


def _tell(task_id: str, *, cancelled: bool, as_json: bool) -> None:
    if as_json:
        print_line({"taskId": task_id, "cancelled": cancelled})
    else:
        typer.echo(f"Task {task_id} {'is being cancelled' if cancelled else 'had ended already'}.")


@app.command()
def retry(ctx: typer.Context, task_id: TaskId, *, as_json: AsJson = False) -> None:
    """Run a task of yours that did not complete as a new one, with the same parameters.

    What it had done to the outside world is not done again; what nobody knows of is decided
    with `cartrita effects`. Asked for again, it is the same new task.
    """
    with connect(options_of(ctx)) as client:
        new = client.try_again(task_id).task_id
    if as_json:
        print_json({"taskId": new, "retryOf": task_id})
    else:
        typer.echo(f"Task {task_id} is tried again as {new}: see `cartrita tasks watch {new}`.")


@app.command()
def watch(
    ctx: typer.Context,
    task_id: TaskId,
    *,
    after: Annotated[
        str | None, typer.Option(help="Begin behind this cursor, as --json shows it.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON per event.")
    ] = False,
) -> None:
    """Print what a task says as it says it, to its end.

    Exits as `cartrita run` does: with 1 when the task did not complete.
    """
    narration = Narration()
    try:
        with connect(options_of(ctx)) as client:
            for event in client.events(task_id, after):
                narration.tell(event, show=not as_json)
                if as_json:
                    print_line(event.to_wire())
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None
    if narration.failed:
        raise typer.Exit(Exit.FAILED)
