"""`cartrita bridge import-users`."""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import asyncpg
import typer

from cartrita.cli.exits import Exit
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, print_json
from cartrita.cli.own_database import database_url
from cartrita.clock import SystemClock
from cartrita.config.load import load_settings
from cartrita.config.settings import Settings
from cartrita.errors import ConfigurationInvalid, InvalidMessage, ServiceUnavailable
from cartrita.people.taking_over import Report, take_over
from cartrita.people.v2_rows import checked, rows_of
from cartrita.storage.postgres.people import PostgresPeople

LARGEST_FILE = 256 << 20
CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 300.0
MOST_ROWS = 1_000_000

# Whatever columns this release of v2 has: those that are missing are told of row by row.
_USERS = f"SELECT * FROM users ORDER BY id LIMIT {MOST_ROWS}"  # noqa: S608 - a number of ours


def import_users(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|URL",
            help="v2's table `users`: CSV with a header or JSON (`-` reads standard input), or "
            "the postgresql:// address of v2's database.",
        ),
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be done.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take v2's accounts over, with their ids and passwords.

    Everybody becomes an ordinary user, whatever role v2 gave them. Run it as often as you like:
    who has signed in here meanwhile is left alone. Rows that are left out are named, and the
    command ends with 1 then.
    """
    settings = load_settings(options_of(ctx).overrides)
    report = asyncio.run(_run(settings, source, dry_run=dry_run))
    if as_json:
        print_json(report.to_json())
    else:
        _tell(report)
    if report.refused:
        raise typer.Exit(Exit.FAILED)


async def _run(settings: Settings, source: str, *, dry_run: bool) -> Report:
    remote = urlsplit(source).scheme in {"postgres", "postgresql"}
    rows = await _table(source) if remote else rows_of(_file(source))
    async with asyncpg.create_pool(database_url(settings), min_size=1, max_size=1) as pool:
        try:
            people = PostgresPeople(pool)
            return await take_over(people, checked(rows), SystemClock(), dry_run=dry_run)
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
            raise ConfigurationInvalid(
                "The database is of an older release: `cartrita up` brings it up to date."
            ) from None


def _file(source: str) -> str:
    try:
        if source == "-":
            data = sys.stdin.buffer.read(LARGEST_FILE + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise InvalidMessage(f"{source!r} cannot be read: {error.strerror}.") from None
    if len(data) > LARGEST_FILE:
        raise InvalidMessage(f"{source!r} is larger than {LARGEST_FILE >> 20} MB.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidMessage(f"{source!r} is not UTF-8.") from None


async def _table(url: str) -> Iterator[Mapping[str, Any]]:
    """Read v2's own table, in a transaction that cannot write."""
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT)
        try:
            async with connection.transaction(readonly=True):
                rows = await connection.fetch(_USERS, timeout=READ_TIMEOUT)
        finally:
            await connection.close(timeout=CONNECT_TIMEOUT)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError) as error:
        # The address holds a password: the driver's own words may repeat it.
        raise ServiceUnavailable(f"v2's table cannot be read ({type(error).__name__}).") from None
    return (dict(row) for row in rows)


def _tell(report: Report) -> None:
    counts = report.counts
    would = " (nothing was changed: a dry run)" if report.dry_run else ""
    typer.echo(
        f"{counts.total()} rows: {counts['added']} added, {counts['updated']} updated, "
        f"{counts['kept']} as they were, {counts['refused']} left out{would}."
    )
    if report.were_admins:
        numbers = ", ".join(map(str, report.were_admins))
        typer.echo(f"v2 had taken these for administrators; here they are users: {numbers}.")
    for refusal in report.refused:
        typer.echo(f"Row {refusal.place} (id {refusal.number!r}): {refusal.reason}", err=True)
