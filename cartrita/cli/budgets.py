"""`cartrita budgets`."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cartrita.cli.connection import connect
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json
from cartrita.cli.quarantine import Limit
from cartrita.cost.budget import Period

Budget = Annotated[
    str, typer.Argument(metavar="BUDGET", help="`user:ID` or `tenant:ID`, as `show` prints it.")
]

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def budgets() -> None:
    """See what may be spent, and set it.

    A task is accepted only if the most it may cost fits every budget above it: its user's, its
    tenant's, and where there are such, its session's and its caller's. You see yours, and
    administrators everybody's.
    """


@app.command()
def show(
    ctx: typer.Context,
    budget: Annotated[
        str | None, typer.Argument(metavar="[BUDGET]", help="Only this one, as `user:ID`.")
    ] = None,
    *,
    limit: Limit = 50,
    after: Annotated[
        str | None, typer.Option(metavar="BUDGET", help="Go on behind this budget.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show budgets, what is used of them, and when they begin anew."""
    with connect(options_of(ctx)) as client:
        found = client.budgets(limit, after) if budget is None else client.budget(_checked(budget))
    if as_json:
        print_json(found)
        return
    rows = [found] if isinstance(found, dict) else found
    if rows:
        console().print(_table(rows))
    else:
        typer.echo("There is no budget.")


@app.command("set")
def put(  # noqa: PLR0913 - one for each thing to choose
    ctx: typer.Context,
    budget: Budget,
    *,
    usd: Annotated[float | None, typer.Option(min=0, help="USD; no limit if left out.")] = None,
    tokens: Annotated[int | None, typer.Option(min=0, help="Tokens; no limit if left out.")] = None,
    period: Annotated[
        Period, typer.Option(help="Whether what is used counts for a day (UTC) or for ever.")
    ] = Period.DAY,
    default: Annotated[
        bool, typer.Option("--default", help="Take back what was set: it follows the settings.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Set a budget, whatever is used of it; for administrators."""
    if default == (usd is not None or tokens is not None):
        raise typer.BadParameter("Name --usd, --tokens or both; or --default and neither.")
    with connect(options_of(ctx)) as client:
        name = _checked(budget)
        if default:
            row = client.reset_budget(name)
        else:
            row = client.set_budget(name, usd, tokens, period.value)
    if as_json:
        print_json(row)
    else:
        console().print(_table([row]))


def _checked(budget: str) -> str:
    kind, _, owner = budget.partition(":")
    if kind not in ("user", "tenant") or not owner:
        raise typer.BadParameter(f"{budget!r} is no budget: write 'user:ID' or 'tenant:ID'.")
    return budget


def _table(rows: list[dict[str, Any]]) -> Table:
    heads = ("Budget", "Used", "Reserved", "Limit", "Full", "Begins anew", "Set")
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        told = (
            row["budgetId"],
            _sum(row["usedUsd"], row["usedTokens"]),
            _sum(row["reservedUsd"], row["reservedTokens"]),
            _limit(row),
            f"{row['pressure']:.0%}",
            row["resetsAt"] or "never",
            "yes" if row["isSet"] else "by default",
        )
        table.add_row(*map(Text, told))
    return table


def _sum(usd: float, tokens: int) -> str:
    return f"${usd:g} and {tokens} tokens"


def _limit(row: dict[str, Any]) -> str:
    usd, tokens = row["maxUsd"], row["maxTokens"]
    told = [] if usd is None else [f"${usd:g}"]
    told += [] if tokens is None else [f"{tokens} tokens"]
    return f"{' and '.join(told) or 'none'} ({row['period']})"
