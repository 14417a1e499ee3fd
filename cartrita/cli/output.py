"""How commands print."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.json import JSON
from rich.text import Text

from cartrita.client.models import TaskOutcome
from cartrita.protocol.task import TaskStatus

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

COLORS = {
    TaskStatus.PENDING: "blue",
    TaskStatus.RUNNING: "blue",
    TaskStatus.COMPLETED: "green",
    TaskStatus.FAILED: "red",
    TaskStatus.CANCELLED: "yellow",
    TaskStatus.TIMEOUT: "red",
}

STATES = {
    "up": "green",
    "starting": "blue",
    "draining": "yellow",
    "quarantined": "bold magenta",
    "down": "bold red",
}
"""How the states of actors and services are shown; one that is not here is bad news, too."""

WIDE = 240
"""Columns where no terminal sets the width: what is piped into `grep` must not be cut."""


class _Output(Console):
    """Leaves a reader that went away to the command line as a whole."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """Return where commands print."""
    terminal = _Output(highlight=False, stderr=stderr)
    if terminal.is_terminal:
        return terminal
    return _Output(highlight=False, stderr=stderr, width=WIDE)


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_line(value: Any) -> None:
    """Print a value as one line of JSON, for what comes bit by bit."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def state_style(state: str) -> str:
    """Return how a state is shown."""
    return STATES.get(state, STATES["down"])


def print_outcome(outcome: TaskOutcome, *, as_json: bool) -> None:
    """Print a task."""
    if as_json:
        print_json(outcome.to_wire())
        return
    out = console()
    out.print(Text.assemble((outcome.status, COLORS[outcome.status]), " ", outcome.task_id))
    if outcome.result is not None:
        out.print(JSON.from_data(outcome.result), soft_wrap=True)
    if outcome.error_message:
        what = " ".join(filter(None, (outcome.error_code, outcome.reason)))
        out.print(Text.assemble((what, "red"), ": ", outcome.error_message), soft_wrap=True)
    for warning in outcome.warnings:
        out.print(Text.assemble(("warning", "yellow"), ": ", warning), soft_wrap=True)
    if outcome.status.terminal:
        out.print(Text(" · ".join(facts(outcome)), style="dim"), soft_wrap=True)


def facts(outcome: TaskOutcome) -> list[str]:
    """Return what a task took, for a line."""
    took = outcome.metrics
    told = [
        f"ran {took.processing_time_ms:.1f} ms",
        f"queued {took.queue_time_ms:.1f} ms",
        f"${took.cost_usd:.6g}",
    ]
    optional = {
        "{} tokens": took.tokens_used,
        "{} retries": took.retry_count,
        "{}": took.model_used,
        "trace {}": outcome.trace_id,
    }
    return told + [text.format(value) for text, value in optional.items() if value]
