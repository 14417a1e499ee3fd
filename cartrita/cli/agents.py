"""`cartrita agents`."""

from itertools import groupby
from operator import attrgetter
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cartrita.cli.connection import connect
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json
from cartrita.cli.parameters import value_of
from cartrita.client import TaskType

app = typer.Typer(invoke_without_command=True, add_completion=False)


@app.callback()
def agents(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """List the agents and their task types."""
    if ctx.invoked_subcommand is not None:
        return
    with connect(options_of(ctx)) as client:
        catalogue = sorted(client.catalog(), key=attrgetter("team", "agent", "task_type"))
    groups = [
        (team, agent, list(tasks))
        for (team, agent), tasks in groupby(catalogue, attrgetter("team", "agent"))
    ]
    if as_json:
        print_json(
            [
                {"agent": agent, "team": team, "tasks": [task.to_wire() for task in tasks]}
                for team, agent, tasks in groups
            ]
        )
    else:
        console().print(_table(groups))


def _table(groups: list[tuple[str, str, list[TaskType]]]) -> Table:
    table = Table("Team", "Agent", "Task type", "Costs up to", "Summary", box=None, pad_edge=False)
    for team, agent, tasks in groups:
        for number, task in enumerate(tasks):
            table.add_row(
                *(("", "") if number else (team, agent)),
                task.task_type,
                f"${task.max_cost_usd:.6g}" if task.max_cost_usd else "free",
                escape(task.summary),
            )
    return table


@app.command("list")
def listing(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """List the agents and how they are."""
    with connect(options_of(ctx)) as client:
        rows = client.agents()
    if as_json:
        print_json(rows)
        return
    table = Table("Team", "Agent", "State", "Runs", "Task types", box=None, pad_edge=False)
    for row in sorted(rows, key=lambda row: (row["team"], row["name"])):
        table.add_row(*(Text(text) for text in _cells(row)))
    console().print(table)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return what a line tells; where an external agent runs, only administrators see."""
    outside = row.get("external")
    where = "here" if outside is None else outside.get("endpoint", "elsewhere")
    return row["team"], row["name"], row["state"], where, ", ".join(row["taskTypes"])


@app.command()
def register(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE.json", help="The registration; - reads it from stdin.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Have tasks carried to an agent that runs elsewhere, or change how; for administrators."""
    told = value_of(f"@{file}", file)
    if not isinstance(told, dict):
        raise typer.BadParameter(f"{file!r} holds no JSON object.")
    with connect(options_of(ctx)) as client:
        done = client.register_agent(told)
    if as_json:
        print_json(done)
    else:
        again = " again" if done["replaced"] else ""
        types = ", ".join(done["taskTypes"])
        typer.echo(f"The agent {done['name']} is registered{again}; it takes {types}.")


@app.command()
def remove(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="As `cartrita agents list` prints it.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Remove an agent that was registered; for administrators."""
    with connect(options_of(ctx)) as client:
        client.remove_agent(name)
    if as_json:
        print_json({"name": name, "removed": True})
    else:
        typer.echo(f"The agent {name} is removed.")
