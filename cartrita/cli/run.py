"""`cartrita run`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import UUID

import typer

from cartrita.cli.candidates import task_types
from cartrita.cli.connection import connect
from cartrita.cli.exits import Exit
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json, print_outcome
from cartrita.cli.parameters import parameters_of
from cartrita.cli.stream import stream
from cartrita.client import Client, TaskOptions, TaskOutcome
from cartrita.clock import new_id
from cartrita.protocol.task import MAX_TIMEOUT_MS, MIN_TIMEOUT_MS, Preferences, TaskStatus


def run(  # noqa: PLR0913 - one for each thing to choose
    ctx: typer.Context,
    task_type: Annotated[
        str, typer.Argument(help="As `cartrita agents` lists it.", autocompletion=task_types)
    ],
    pairs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=VALUE]...",
            help="Parameters. A value is JSON where it is JSON, else text; @FILE reads a file.",
        ),
    ] = None,
    *,
    params: Annotated[
        str | None, typer.Option(help="Parameters as one JSON object, or @FILE.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            help="Seconds from acceptance to the end.",
            min=MIN_TIMEOUT_MS / 1000,
            max=MAX_TIMEOUT_MS / 1000,
        ),
    ] = None,
    priority: Annotated[int | None, typer.Option(help="Higher runs first.", min=0, max=10)] = None,
    asynchronous: Annotated[
        bool, typer.Option("--async", help="Print the id and do not wait.")
    ] = False,
    streaming: Annotated[
        bool,
        typer.Option("--stream", help="Print words as they come, and progress on standard error."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a task and print what became of it.

    With --stream and --json each event is a line of JSON.

    Exits with 0 when it completed, 1 when it failed, 2 on wrong usage, 3 when it was not
    accepted, 4 when you are not signed in.
    """
    if asynchronous and streaming:
        raise typer.BadParameter("--async does not wait for what --stream would print.")
    parameters = parameters_of(params, pairs or [])
    options: TaskOptions = {"task_id": new_id()}
    if timeout is not None:
        options["timeout"] = timeout
    if priority is not None:
        options["priority"] = priority
    with connect(options_of(ctx)) as client:
        if asynchronous:
            task_id = client.submit(task_type, parameters, **options).task_id
            _accepted(task_id, as_json=as_json)
            return
        with _left_alone(options["task_id"]):
            if streaming:
                options["preferences"] = Preferences(streaming=True)
                task_id = client.submit(task_type, parameters, **options).task_id
                outcome = stream(client, task_id, as_json=as_json)
            else:
                outcome = _wait(client, task_type, parameters, options)
                print_outcome(outcome, as_json=as_json)
    if outcome.status is not TaskStatus.COMPLETED:
        raise typer.Exit(Exit.FAILED)


def _accepted(task_id: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"taskId": task_id})
    else:
        typer.echo(task_id)


def _wait(
    client: Client, task_type: str, parameters: dict[str, Any], options: TaskOptions
) -> TaskOutcome:
    with console(stderr=True).status(f"Task {options['task_id']} …"):  # silent without a terminal
        return client.run(task_type, parameters, **options)


@contextmanager
def _left_alone(task_id: str | UUID) -> Iterator[None]:
    """Say at Ctrl-C that the task goes on."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(
            f"Task {task_id} may go on: see `cartrita tasks show {task_id}`, or end it with "
            f"`cartrita tasks cancel {task_id}`.",
            err=True,
        )
        raise typer.Exit(Exit.INTERRUPTED) from None
