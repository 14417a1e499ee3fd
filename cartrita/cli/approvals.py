"""`cartrita approvals`."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cartrita.approvals import Verdict
from cartrita.cli.connection import connect
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json
from cartrita.cli.quarantine import Limit
from cartrita.client.calls import ApprovalDecision

app = typer.Typer(no_args_is_help=True, add_completion=False)

Which = Annotated[str, typer.Argument(help="As `cartrita approvals list` prints it.")]
Why = Annotated[str, typer.Option(help="What the task, and whoever looks later, is told.")]


@app.callback()
def approvals() -> None:
    """See which tools wait for a person, and decide.

    A task that is to change the outside world by a tool waits until its owner or an
    administrator approves or denies that. You see yours, and administrators everybody's.
    """


@app.command("list")
def listing(
    ctx: typer.Context,
    *,
    state: Annotated[Verdict, typer.Option(help="Which approvals.")] = Verdict.PENDING,
    limit: Limit = 50,
    before: Annotated[
        str | None, typer.Option(metavar="APPROVAL", help="Go on behind this approval.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List approvals, those of the newest tasks first."""
    with connect(options_of(ctx)) as client:
        rows = client.approvals(state.value, limit, before)
    if as_json:
        print_json(rows)
    elif rows:
        console().print(_table(rows))
    else:
        typer.echo(f"No approval is {state.value}.")


def _table(rows: list[dict[str, Any]]) -> Table:
    names = ("approvalId", "tool", "input", "taskId", "taskType", "user", "state", "expiresAt")
    heads = ("Approval", "Tool", "Input", "Task", "Type", "User", "State", "Expires at")
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(str(row.get(name, ""))) for name in names))
    return table


@app.command()
def approve(
    ctx: typer.Context, approval: Which, *, reason: Why = "", as_json: AsJson = False
) -> None:
    """Let a task use the tool that it waits for."""
    _decide(ctx, approval, "approve", reason, as_json=as_json)


@app.command()
def deny(ctx: typer.Context, approval: Which, *, reason: Why = "", as_json: AsJson = False) -> None:
    """Have a task go on without the tool that it waits for."""
    _decide(ctx, approval, "deny", reason, as_json=as_json)


def _decide(
    ctx: typer.Context, approval: str, decision: ApprovalDecision, reason: str, *, as_json: bool
) -> None:
    with connect(options_of(ctx)) as client:
        row = client.decide(approval, decision, reason)
    if as_json:
        print_json(row)
    else:
        typer.echo(f"The approval {approval} is {row.get('state')}.")
