"""`cartrita replay`."""

from typing import Annotated

import typer

from cartrita.cli.connection import connect
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, print_json
from cartrita.cli.storybook import print_story
from cartrita.story import cursor_at


def replay(
    ctx: typer.Context,
    task_id: Annotated[str, typer.Argument(metavar="TASK", help="As `cartrita run` prints it.")],
    *,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="STEP",
            help="Show how it stood after this step: a cursor, or as events are listed: 1.3, end.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell a task's whole story from the journal.

    What was asked for, every event, the calls of models and tools, sub-tasks, attempts and
    costs. It works while the task runs, after its end, and while nothing of the tree runs
    but the gateway.
    """
    with connect(options_of(ctx)) as client:
        story = client.story(task_id, None if until is None else cursor_at(until))
    if as_json:
        print_json(story)
    else:
        print_story(story)
