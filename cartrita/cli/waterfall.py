"""`cartrita trace`: a task as a waterfall."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cartrita.cli.connection import connect
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json
from cartrita.steps import ATTEMPT, MODEL, PRICE, QUEUE, TASK, TOOL, Step, costs, steps

WIDTH = 40
"""Columns of the bars."""

_STYLES = {TASK: "cyan", QUEUE: "bright_black", ATTEMPT: "blue", MODEL: "magenta", TOOL: "green",
           PRICE: "yellow"}  # fmt: skip


def trace(
    ctx: typer.Context,
    task_id: Annotated[str, typer.Argument(metavar="TASK", help="As `cartrita run` prints it.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Draw what a task's time went into, and its money.

    From the journal, so that it needs no collector: waits, attempts, models, tools and
    sub-tasks, each where it lay in time. With a collector (`telemetry.otlp_endpoint`) the whole
    trace, from the client's own span on, is there under the same id.
    """
    with connect(options_of(ctx)) as client:
        story = client.story(task_id)
    if as_json:
        print_json(costs(story))
        return
    out = console()
    for line in drawn(story):
        out.print(line)


def drawn(story: dict[str, object]) -> list[Text | Table]:
    """Return a story as a waterfall."""
    found = steps(story)
    known = [one.start + (one.duration or 0.0) for one in found]
    whole = max([*known, 1e-3])
    table = Table("Step", "", "From", "Took", "Cost", box=None, pad_edge=False)
    for one in found:
        name = Text("  " * one.depth + one.name, style="red" if one.failed else "")
        table.add_row(name, _bar(one, whole), _seconds(one.start), _took(one), _cost(one))
    return [_head(story), table]


def _head(story: dict[str, object]) -> Text:
    told = costs(story)
    accepted = story["accepted"]
    trace_id = accepted["traceId"] if isinstance(accepted, dict) else None
    parts = [f"trace {trace_id}"] if trace_id else []
    parts += [f"${told['totalUsd']:.6g}", f"{told['tokens']} tokens"]
    if not told["complete"]:
        parts.append("not all of it is told")
    return Text(f"{told['status']} {told['taskId']} · " + " · ".join(parts))


def _bar(step: Step, whole: float) -> Text:
    if step.kind == PRICE:
        return Text("")
    begin = min(int(step.start / whole * WIDTH), WIDTH - 1)
    open_end = whole - step.start if step.kind != TOOL else 0.0
    took = open_end if step.duration is None else step.duration
    end = min(max(round((step.start + took) / whole * WIDTH), begin + 1), WIDTH)
    return Text(" " * begin + "━" * (end - begin), style=_STYLES[step.kind])


def _seconds(milliseconds: float) -> str:
    return f"+{milliseconds / 1000:.3f} s"


def _took(step: Step) -> str:
    return "" if step.duration is None else f"{step.duration:.1f} ms"


def _cost(step: Step) -> str:
    return f"${step.usd:.6g}" if step.usd else ""
