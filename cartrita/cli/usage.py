"""`cartrita usage`."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cartrita.cli.connection import connect
from cartrita.cli.listing import moment
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json


class By(StrEnum):
    """Under which names to add up."""

    MODEL = "model"
    AGENT = "agent"
    USER = "user"
    DAY = "day"


def usage(
    ctx: typer.Context,
    *,
    by: Annotated[By, typer.Option(help="Under which names.")] = By.MODEL,
    user: Annotated[
        str | None, typer.Option(help="Whose, by the user's id; for administrators.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=moment, metavar="TIME", help="From this day on; `7d` is a span."),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(parser=moment, metavar="TIME", help="As far as this.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add up what was charged for tasks that have ended, by whole days in UTC.

    That is the last 30 days unless --since says otherwise: yours, and everybody's for
    administrators. The prices of tasks that used no model stand under `built-in`.
    """
    with connect(options_of(ctx)) as client:
        found = client.usage(by.value, user, since, until)
    if as_json:
        print_json(found)
    elif found["rows"]:
        console().print(_table(by, found))
    else:
        typer.echo("Nothing was charged.")


def _table(by: By, found: dict[str, Any]) -> Table:
    heads = (by.value.title(), "Tasks", "Model calls", "Cache hits", "Tokens", "USD")
    table = Table(*heads, box=None, pad_edge=False)
    for row in found["rows"]:
        names = ("tasks", "modelCalls", "cacheHits", "tokensUsed")
        told = (
            row["name"] or "built-in",
            *(str(row[name]) for name in names),
            f"{row['costUsd']:g}",
        )
        table.add_row(*map(Text, told))
    total = ("all", "", "", "", str(found["tokensUsed"]), f"{found['costUsd']:g}")
    table.add_row(*map(Text, total))
    return table
