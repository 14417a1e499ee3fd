"""`cartrita trace`: a task as a waterfall."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cartrita.cli.connection import connect
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json
from cartrita.steps import ATTEMPT, MODEL, PRICE, QUEUE, TASK, TOOL, Step, costs, steps

WIDTH, NARROW = 40, 12
"""Columns of the bars, at most and at least."""

BESIDE = 64
"""Columns that all else takes, about."""

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
        waterfall = [step.to_wire() for step in steps(story)]
        print_json({**costs(story), "traceId": _trace_id(story), "waterfall": waterfall})
        return
    out = console()
    for line in drawn(story, min(max(out.width - BESIDE, NARROW), WIDTH)):
        out.print(line)


def drawn(story: dict[str, object], width: int = WIDTH) -> list[Text | Table]:
    """Return a story as a waterfall.

    Args:
        story: As `GET /v3/tasks/{id}/story` tells it.
        width: Of the bars.
    """
    found = steps(story)
    known = [one.start + (one.duration or 0.0) for one in found]
    whole = max([*known, 1e-3])
    table = Table("Step", "", box=None, pad_edge=False)
    for head in ("From", "Took", "Tokens", "Cost"):
        table.add_column(head, justify="right", no_wrap=True)
    for one in found:
        facts = (_seconds(one.start), _took(one), str(one.tokens or ""), _cost(one))
        table.add_row(_name(one), _bar(one, whole, width), *facts)
    return [_head(story), table]


def _name(step: Step) -> Text:
    """Return what a step is called, how it failed, and whose model it is."""
    text = Text("  " * step.depth + step.name, style="red" if step.failed else "")
    if step.note or (step.failed and step.kind in (MODEL, TOOL)):
        text.append(f": {step.note or 'failed'}")
    if step.provider and not step.name.startswith(f"{step.provider}/"):
        text.append(f" ({step.provider})", style="dim")
    return text


def _trace_id(story: dict[str, object]) -> str | None:
    accepted = story["accepted"]
    return accepted["traceId"] if isinstance(accepted, dict) else None


def _head(story: dict[str, object]) -> Text:
    told = costs(story)
    trace_id = _trace_id(story)
    parts = [f"trace {trace_id}"] if trace_id else []
    parts += [f"${told['totalUsd']:.6g}", f"{told['tokens']} tokens"]
    if not told["complete"]:
        parts.append("not all of it is told")
    return Text(f"{told['status']} {told['taskId']} · " + " · ".join(parts))


def _bar(step: Step, whole: float, width: int) -> Text:
    if step.kind == PRICE:
        return Text("")
    begin = min(int(step.start / whole * width), width - 1)
    open_end = whole - step.start if step.kind != TOOL else 0.0
    took = open_end if step.duration is None else step.duration
    end = min(max(round((step.start + took) / whole * width), begin + 1), width)
    return Text(" " * begin + "━" * (end - begin), style=_STYLES[step.kind])


def _seconds(milliseconds: float) -> str:
    return f"+{milliseconds / 1000:.3f} s"


def _took(step: Step) -> str:
    return "" if step.duration is None else f"{step.duration:.1f} ms"


def _cost(step: Step) -> str:
    return f"${step.usd:.6g}" if step.usd else ""
