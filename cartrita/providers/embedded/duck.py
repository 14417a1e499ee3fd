"""Runs read-only SQL over given rows, with DuckDB."""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

from cartrita.errors import (
    InvalidParameters,
    ResourceLimitExceeded,
    TaskTimeout,
)
from cartrita.providers.embedded.children import Children
from cartrita.providers.ports import Rows

MOST_TABLES = 20
MOST_ROWS = 100_000
"""Of all tables together."""

MOST_COLUMNS = 200
LONGEST_NAME = 63
RUNNING = 2
"""Queries at a time; each has a process of its own."""

QUERIES_PER_PROCESS = 100
"""After these a process is replaced, so that no leak grows for ever."""

LONGEST_SECONDS = 3600.0
"""What a query without a deadline may take."""

_TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class DuckDb:
    """A fresh in-memory database for every query, in a process that can be killed.

    An engine in our own process could not be held: it counts no long strings, and hears of
    interruptions late. The process starts with the first query, some 0.6 s of CPU and 75 MB,
    has an empty environment, and is kept for the next one unless its query had to be killed.
    """

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(RUNNING)
        self._children = Children("cartrita.providers.embedded.sqlchild", QUERIES_PER_PROCESS)

    async def query(
        self,
        sql: str,
        tables: dict[str, list[dict[str, Any]]],
        *,
        max_rows: int,
        timeout: float,
    ) -> Rows:
        """Run one SELECT over `tables`, at most `timeout` seconds and `max_rows` rows.

        Values are JSON, see `tabular.jsonable`.

        Raises:
            InvalidParameters: The SQL or the tables are not what can be run.
            ResourceLimitExceeded: The query needs too much memory.
            TaskTimeout: It takes too long.
        """
        _check_tables(tables)
        timeout = min(timeout, LONGEST_SECONDS)
        request = {"sql": sql, "tables": tables, "max_rows": max_rows, "timeout": timeout}
        try:
            async with asyncio.timeout(timeout), self._places:
                answer = await self._children.ask(json.dumps(request).encode())
        except TimeoutError:
            raise TaskTimeout(
                f"The query did not end within {timeout:g} s; ask for less."
            ) from None
        if answer is None:
            raise ResourceLimitExceeded(
                "The process that ran the query died, most likely for want of memory; ask for less."
            )
        return _rows(answer)

    def close(self) -> None:
        """End the process that waits for the next query."""
        self._children.close()


def _rows(answer: bytes) -> Rows:
    """Read a child's answer.

    Raises:
        InvalidParameters: The query was refused, or failed.
        ResourceLimitExceeded: It is over a limit.
    """
    body = json.loads(answer)
    failed, message = body.get("failed"), str(body.get("message"))
    if failed == "limit":
        raise ResourceLimitExceeded(f"The query is over a limit: {message}; ask for less.")
    if failed:
        raise InvalidParameters(f"The query failed: {message}", fields=[("query", message)])
    rows = tuple(tuple(row) for row in body["rows"])
    return Rows(tuple(body["columns"]), rows, body["truncated"])


def _check_tables(tables: Mapping[str, list[dict[str, Any]]]) -> None:
    if not 1 <= len(tables) <= MOST_TABLES:
        raise _invalid(f"give 1 to {MOST_TABLES} tables, not {len(tables)}")
    count = sum(map(len, tables.values()))
    if count > MOST_ROWS:
        raise _invalid(f"{count} rows are too many; at most {MOST_ROWS}")
    for table, rows in tables.items():
        if not _TABLE_NAME.fullmatch(table) or len(table) > LONGEST_NAME:
            raise _invalid(f"{table!r} is no table name: use letters, digits and _")
        _check_columns(table, rows)
    if len({table.lower() for table in tables}) < len(tables):
        raise _invalid("two tables have the same name; SQL ignores case")


def _check_columns(table: str, rows: list[dict[str, Any]]) -> None:
    names = {name for row in rows for name in row}
    if not 1 <= len(names) <= MOST_COLUMNS:
        raise _invalid(
            f"the table {table!r} has {len(names)} columns; 1 to {MOST_COLUMNS} are allowed"
        )
    if any(not name.strip() or "\x00" in name or len(name) > LONGEST_NAME for name in names):
        raise _invalid(f"a column of {table!r} is empty or longer than {LONGEST_NAME} characters")
    if len({name.lower() for name in names}) < len(names):
        raise _invalid(f"two columns of {table!r} have the same name; SQL ignores case")


def _invalid(message: str) -> InvalidParameters:
    return InvalidParameters(f"The data does not fit: {message}.", fields=[("data", message)])
