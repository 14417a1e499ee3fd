"""What `cartrita run --stream` prints while a task runs."""

import typer
from rich.text import Text

from cartrita.cli.narration import about, said, style_of
from cartrita.cli.output import console, facts, print_json, print_line
from cartrita.client import Client, TaskEvent, TaskOutcome


def stream(client: Client, task_id: str, *, as_json: bool) -> TaskOutcome:
    """Print what a task says: its words on standard output, all else on standard error.

    A task that says nothing has its result printed when it ends.
    """
    teller = _Teller()
    for event in client.events(task_id):
        if as_json:
            print_line(event.to_wire())
        else:
            teller.tell(event)
        if event.ends:
            break
    outcome = client.get(task_id)
    if not as_json:
        teller.end(outcome)
    return outcome


class _Teller:
    """Tells of one task."""

    def __init__(self) -> None:
        self._side = console(stderr=True)
        self._spoken = False
        self._open = False

    def tell(self, event: TaskEvent) -> None:
        """Print an event."""
        if event.type == "token":
            text = said(event.data)
            typer.echo(text, nl=False)
            self._spoken = True
            self._open = not text.endswith("\n") if text else self._open
            return
        if event.type == "reset":
            self._spoken = False
        if self._side.is_terminal:
            self._break()  # both are one screen
        if not event.ends:
            line = Text.assemble((f"{event.type:9}", style_of(event)), f" {about(event)}")
            line.rstrip()
            self._side.print(line, soft_wrap=True)

    def end(self, outcome: TaskOutcome) -> None:
        """Print how it ended."""
        self._break()
        if outcome.result is not None and not self._spoken:
            print_json(outcome.result)
        if outcome.error_message:
            what = " ".join(filter(None, (outcome.error_code, outcome.reason)))
            told = Text.assemble((what, "red"), ": ", outcome.error_message)
            self._side.print(told, soft_wrap=True)
        for warning in outcome.warnings:
            self._side.print(Text.assemble(("warning", "yellow"), ": ", warning), soft_wrap=True)
        about_it = " · ".join([str(outcome.status), outcome.task_id, *facts(outcome)])
        self._side.print(Text(about_it, style="dim"), soft_wrap=True)

    def _break(self) -> None:
        if self._open:
            typer.echo()
            self._open = False
