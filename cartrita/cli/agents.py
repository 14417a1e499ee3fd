"""`cartrita agents`."""

from itertools import groupby
from operator import attrgetter

import typer
from rich.markup import escape
from rich.table import Table

from cartrita.cli.connection import connect
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json
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
