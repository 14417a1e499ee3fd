"""Tells a task's whole story to a person, or the short of it."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cartrita.cli.narration import about, style_of
from cartrita.cli.output import COLORS, console, print_outcome
from cartrita.client import TaskEvent, TaskOutcome
from cartrita.protocol.task import TaskStatus
from cartrita.story import place_of

LAST = 5
"""Events that the short of it shows."""

LONGEST = 200
"""Characters of what an event, a tool or a parameter says."""

Rows = Sequence[dict[str, Any]]


def print_story(story: dict[str, Any]) -> None:
    """Print all of it."""
    out = console()
    out.print(_title(story))
    for line in (*_asked(story), *_figures(story)):
        out.print(line, soft_wrap=True)
    _section(out, "Events", _events(story["events"]))
    _section(out, "Attempts", _attempts(story["attempts"]))
    _section(out, "Model calls", _models(story["modelCalls"]))
    _section(out, "Tool calls", _tools(story["toolCalls"]))
    _section(out, "Sub-tasks", _children(story["children"]))
    _section(out, "Effects", _effects(story.get("effects", ())))
    if story["usesCut"] or story["childrenCut"]:
        out.print(Text("There is more of these than a story tells.", style="yellow"))
    if story["response"]:
        out.print()
        print_outcome(TaskOutcome.model_validate(story["response"]), as_json=False)


def print_brief(story: dict[str, Any]) -> None:
    """Print the short of it, below what became of the task."""
    out = console()
    out.print(Text(story["taskType"], style="bold"))
    for line in _figures(story):
        out.print(line, soft_wrap=True)
    _section(out, "Last events", _events(story["events"][-LAST:]))


def _title(story: dict[str, Any]) -> Text:
    status = TaskStatus(story["status"])
    until = story["until"]
    return Text.assemble(
        (status, COLORS[status]),
        f" {story['taskId']} ",
        (story["taskType"], "bold"),
        f" as of {place_of(until)}" if until else "",
    )


def _fact(name: str, *values: Any) -> Text:
    return Text.assemble((f"{name:11}", "dim"), " · ".join(str(value) for value in values if value))


def _asked(story: dict[str, Any]) -> Iterator[Text]:
    """Return what was asked for, and by whom."""
    asked = story["accepted"]
    who = asked["user"]
    tenant = "" if asked["tenant"] == who else f"workspace {asked['tenant']}"
    yield _fact("for", who, tenant, asked["sessionId"] and f"session {asked['sessionId']}")
    yield _fact("parameters", _short(asked["parameters"]))
    yield _fact("delivery", asked["delivery"], f"at most {asked['maxAttempts']} attempts",
                f"priority {asked['priority']}")  # fmt: skip
    budget, reserved = asked["budget"], asked["reserved"]
    limits = {"at most ${:.6g}": budget["maxUsd"], "at most {} tokens": budget["maxTokens"]}
    limits |= {"${:.6g} reserved": reserved["usd"], "{} tokens reserved": reserved["tokens"]}
    if any(limits.values()):
        yield _fact("budget", *(text.format(value) for text, value in limits.items() if value))
    origin = {"sub-task of {}": asked["parent"], "retry of {}": asked["retryOf"]}
    if any(origin.values()):
        yield _fact("origin", *(text.format(value) for text, value in origin.items() if value))


def _figures(story: dict[str, Any]) -> Iterator[Text]:
    """Return the times, the attempts and the costs."""
    asked, events, attempts = story["accepted"], story["events"], story["attempts"]
    ended = f"ended {_after(events[-1])}" if story["response"] else ""
    deadline = "" if ended else f"deadline {asked['deadline']}"
    yield _fact("accepted", asked["at"], ended, deadline, story["shard"])
    if attempts:
        outcomes = Counter(one["outcome"] for one in attempts)
        yield _fact("attempts", *(f"{number} {name}" for name, number in outcomes.items()))
    yield _fact("costs", *_costs(story))
    children = Counter(child["status"] for child in _all(story["children"]))
    if children:
        yield _fact("sub-tasks", *(f"{number} {name}" for name, number in children.items()))
    response = story["response"] or {}
    if response.get("errorCode"):
        outcome = TaskOutcome.model_validate(response)
        yield _fact("error", outcome.error_code, outcome.reason, outcome.error_message)


def _costs(story: dict[str, Any]) -> list[str]:
    costs = story["costs"]
    parts = {
        "${:.6g} models": costs["modelsUsd"],
        "${:.6g} for the task": costs["flatUsd"],
        "${:.6g} in lost attempts": costs["lostUsd"],
        "${:.6g} sub-tasks": costs["childrenUsd"],
        "{} tokens": costs["tokens"],
        "{} tokens in sub-tasks": costs["childrenTokens"],
    }
    return [f"${costs['totalUsd']:.6g} in all"] + [
        text.format(value) for text, value in parts.items() if value
    ]


def _section(out: Console, title: str, table: Table | None) -> None:
    if table and table.row_count:
        out.print()
        out.print(Text(title, style="bold"))
        out.print(table)


def _table(*names: str) -> Table:
    return Table(*names, box=None, pad_edge=False)


def _events(rows: Rows) -> Table:
    table = _table("Step", "After", "Event", "")
    for place, row in _joined(rows):
        event = TaskEvent.model_validate(row)
        said = _short(about(event)) if not event.ends else ""
        kind = Text(event.type, style=style_of(event))
        table.add_row(place, _after(row), kind, Text(said))
    return table


def _joined(rows: Rows) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return events with their places; tokens that follow each other become one."""
    run: list[dict[str, Any]] = []
    for row in (*rows, None):
        if run and (row is None or row["type"] != "token"):
            text = "".join(str((one["data"] or {}).get("text", "")) for one in run)
            last = place_of(run[-1]["cursor"])
            place = place_of(run[0]["cursor"]) + (f" to {last}" if len(run) > 1 else "")
            yield place, {**run[-1], "data": text}
            run = []
        if row is None:
            return
        if row["type"] == "token":
            run.append(row)
        else:
            yield place_of(row["cursor"]), row


def _attempts(rows: Rows) -> Table:
    table = _table("Attempt", "After", "Outcome", "")
    for row in rows:
        alone = {True: "alone on its worker", False: "beside others", None: ""}[row["alone"]]
        why = row.get("errorCode", alone)
        table.add_row(str(row["attempt"]), _after(row), Text(row["outcome"]), Text(why))
    return table


def _models(rows: Rows) -> Table:
    table = _table("Attempt", "After", "Model", "Took", "Tokens", "Cost", "In all")
    for row in rows:
        tokens = "failed" if row["failed"] else f"{row['tokensIn']} + {row['tokensOut']}"
        cost, total = f"${row['costUsd']:.6g}", f"${row['totalUsd']:.6g}"
        name = Text(row["model"])
        table.add_row(str(row["attempt"]), _after(row), name, _took(row), tokens, cost, total)
    return table


def _tools(rows: Rows) -> Table:
    table = _table("Attempt", "After", "Tool", "Took", "Input", "Output")
    for row in rows:
        output = Text(_short(row["output"]), style="red" if row["failed"] else "")
        given = Text(_short(row["input"]))
        name = Text(row["name"])
        table.add_row(str(row["attempt"]), _after(row), name, _took(row), given, output)
    return table


def _children(rows: Rows) -> Table:
    table = _table("Task", "Type", "After", "Status", "Took", "Cost")
    for depth, row in _nested(rows):
        status = TaskStatus(row["status"])
        what = " ".join(filter(None, (status, row.get("errorCode"), row.get("reason"))))
        table.add_row(
            Text("  " * depth + row["taskId"]),
            Text(row["taskType"]),
            _after(row),
            Text(what, style=COLORS[status]),
            _took(row),
            f"${row['costUsd']:.6g}",
        )
    return table


def _effects(rows: Rows) -> Table:
    table = _table("Attempt", "After", "Effect", "Key", "State", "Result", "")
    for row in rows:
        known = row["state"] in ("done", "not_done")
        state = Text(row["state"], style="" if known else "yellow")
        by = f"by {row['settledBy']}" if row["settledBy"] else ""
        result = Text("" if row["result"] is None else _short(row["result"]))
        name, key = Text(row["name"]), Text(row["key"])
        table.add_row(str(row["attempt"]), _after(row), name, key, state, result, Text(by))
    return table


def _nested(rows: Rows, depth: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    for row in rows:
        yield depth, row
        yield from _nested(row["children"], depth + 1)


def _all(rows: Rows) -> Iterable[dict[str, Any]]:
    return (row for _, row in _nested(rows))


def _after(row: dict[str, Any]) -> str:
    return f"+{row['afterMs'] / 1000:.3f} s"


def _took(row: dict[str, Any]) -> str:
    return "" if row["durationMs"] is None else f"{row['durationMs']:.1f} ms"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
