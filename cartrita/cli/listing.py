"""`cartrita tasks list`."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cartrita.cli.candidates import task_types
from cartrita.cli.connection import connect
from cartrita.cli.options import options_of
from cartrita.cli.output import COLORS, AsJson, console, print_json, print_line
from cartrita.client import Client, ListedTask, TaskPage
from cartrita.client.bulk import LONGEST_PAGE, Filters
from cartrita.clock import SystemClock
from cartrita.protocol.task import TaskStatus

_SPAN = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str) -> datetime:
    """Read a time: of ISO 8601, in this machine's zone if it names none, or a span ago.

    Raises:
        typer.BadParameter: It is neither.
    """
    span = _SPAN.fullmatch(text)
    try:
        if span:
            ago = timedelta(**{_UNITS[span[2]]: int(span[1])})
            return datetime.fromtimestamp(SystemClock().now(), UTC) - ago
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(
            f"{text!r} is no time: write '2026-11-28T09:30', '2026-11-28', '90m', '2h' or '7d'."
        ) from None


def listing(  # noqa: PLR0913 - one for each thing to choose
    ctx: typer.Context,
    *,
    status: Annotated[
        list[TaskStatus] | None,
        typer.Option(help="Where they stand; repeat it for any of several.", case_sensitive=False),
    ] = None,
    task_type: Annotated[
        str | None, typer.Option("--type", help="Of this type.", autocompletion=task_types)
    ] = None,
    session: Annotated[str | None, typer.Option(help="Of this conversation.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=moment, metavar="TIME", help="Accepted then or later; `2h` is a span."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(parser=moment, metavar="TIME", help="Accepted before then."),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Whose, by the id that the list shows; for administrators.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1)] = 50,
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Go on behind an earlier list.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All there are, whatever --limit says.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List tasks, newest first: yours, and everybody's for administrators.

    With --json the list is one object of `tasks` and `next`, the cursor for --after. With
    --json and --all it is a line for each task.
    """
    named = {
        "status": status or None, "task_type": task_type, "session_id": session,
        "since": since, "until": until, "user": user,
    }  # fmt: skip
    filters: Filters = {name: value for name, value in named.items() if value}  # type: ignore[assignment]
    with connect(options_of(ctx)) as client:
        pages = _pages(client, filters, None if everything else limit, after)
        if as_json and everything:
            for page in pages:
                for task in page.tasks:
                    print_line(task.to_wire())
        elif as_json:
            _print_object(list(pages))
        else:
            _print(pages, everything=everything)


def _pages(
    client: Client, filters: Filters, limit: int | None, cursor: str | None
) -> Iterator[TaskPage]:
    while limit is None or limit > 0:
        size = LONGEST_PAGE if limit is None else min(limit, LONGEST_PAGE)
        page = client.task_page(cursor, size, **filters)
        yield page
        limit = None if limit is None else limit - len(page.tasks)
        cursor = page.next
        if cursor is None:
            return


def _print_object(pages: list[TaskPage]) -> None:
    tasks = [task.to_wire() for page in pages for task in page.tasks]
    print_json({"tasks": tasks, "next": pages[-1].next})


def _print(pages: Iterator[TaskPage], *, everything: bool) -> None:
    cursor, header = None, True
    for page in pages:
        cursor = page.next
        if page.tasks:
            console().print(_table(page.tasks, header=header))
            header = False
    if header:
        typer.echo("There are no such tasks.")
    elif cursor and not everything:
        typer.echo(f"There may be more: --after {cursor}", err=True)


def _table(tasks: list[ListedTask], *, header: bool) -> Table:
    table = Table(box=None, pad_edge=False, show_header=header)
    for name, width in (("Task", 36), ("Status", 9), ("Accepted", 19), ("Took", 9), ("Cost", 9)):
        table.add_column(name, min_width=width, no_wrap=True)
    table.add_column("Type", min_width=24, overflow="fold")
    table.add_column("User", overflow="fold")
    for task in tasks:
        table.add_row(*_cells(task))
    return table


def _cells(task: ListedTask) -> list[str | Text]:
    ended = task.finished_at
    took = f"{(ended - task.accepted_at).total_seconds():.3f} s" if ended else ""
    why = task.reason or task.error_code
    return [
        task.task_id,
        Text(task.status, style=COLORS[task.status]),
        f"{task.accepted_at.astimezone():%Y-%m-%d %H:%M:%S}",
        took,
        f"${task.cost_usd:.6g}",
        Text(f"{task.task_type} ({why})" if why else task.task_type),
        Text(task.user),
    ]
