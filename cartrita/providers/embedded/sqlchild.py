"""Runs queries in a process of its own, which can be killed."""

import json
import math
import resource
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from cartrita.figures.names import quoted
from cartrita.providers.embedded.frames import READY, receive, send
from cartrita.providers.embedded.sqlguard import checked
from cartrita.providers.embedded.tabular import columns, jsonable

ENGINE_MEMORY = "256MB"
"""What the engine allows itself. Long strings are not counted: one `repeat('x', 1e9)` took
7 GB and did not hear of an interruption for half a minute. Hence this process and its limit."""

PROCESS_MEMORY = 768 << 20
"""Bytes of address space beyond what the interpreter, engine and parser take at first."""

LONGEST_ANSWER = 8 << 20
"""Bytes of JSON; more would not fit a message between actors."""

BATCH = 256
SPARE_SECONDS = 5
"""CPU time beyond a query's timeout after which an orphaned process ends itself."""

SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": ENGINE_MEMORY,
    "threads": 1,
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
}


def main() -> None:
    """Answer queries on standard input until it ends."""
    sys.setrecursionlimit(10_000)  # the parser needs some fifteen frames for a parenthesis
    _limit_memory()
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, target = sys.stdin.buffer, sys.stdout.buffer
    send(target, READY)
    while (request := receive(source)) is not None:
        send(target, answer(request))


def _limit_memory() -> None:
    """Bound the address space, where the system tells how large it is and keeps to a bound."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        taken = int(statm.read_text().split()[0]) * resource.getpagesize()
        limit = taken + PROCESS_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def answer(body: bytes) -> bytes:
    """Run one query and return its rows, or what was wrong, as JSON."""
    try:
        request = json.loads(body)
        _allow(request["timeout"])
        found = _run(request["sql"], request["tables"], request["max_rows"])
        return json.dumps(found, allow_nan=False).encode()
    except (MemoryError, duckdb.OutOfMemoryException):
        return _failed("limit", f"the query needs more than {ENGINE_MEMORY} of memory")
    except OversizeError as error:
        return _failed("limit", str(error))
    except (duckdb.Error, ValueError, OverflowError, RecursionError) as error:
        return _failed("sql", str(error))


def _allow(seconds: float) -> None:
    """Let the kernel end this process when its parent is not there to do it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed = math.ceil(used.ru_utime + used.ru_stime + seconds) + SPARE_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, resource.RLIM_INFINITY))


class OversizeError(Exception):
    """The answer does not fit a message."""


def _failed(kind: str, message: str) -> bytes:
    return json.dumps({"failed": kind, "message": message}).encode()


def _run(sql: str, tables: dict[str, list[dict[str, Any]]], max_rows: int) -> dict[str, Any]:
    query = checked(sql, tables)
    with duckdb.connect(":memory:", config=SETTINGS) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, rows in tables.items():
            _load(connection, name, rows)
        connection.execute("SET lock_configuration = true")
        names, readable = _readable(connection, query)
        result = connection.execute(readable)
        fetched, truncated = _fetch(result, max_rows)
    return {"columns": names, "rows": fetched, "truncated": truncated}


def _load(connection: Any, name: str, rows: list[dict[str, Any]]) -> None:
    made = columns(rows)
    fields = ", ".join(
        f"CAST(unnest(?::VARCHAR[]) AS {column.type}) AS {quoted(column.name)}" for column in made
    )
    sql = f"CREATE TABLE {quoted(name)} AS SELECT {fields}"
    connection.execute(sql, [column.values for column in made])


def _readable(connection: Any, query: str) -> tuple[list[str], str]:
    """Return the columns' names, and the query with what Python cannot read turned to text."""
    shape = connection.sql(query)
    types = [str(kind) for kind in shape.types]
    if not any("TIME ZONE" in kind or "INTERVAL" in kind for kind in types):
        return list(shape.columns), query
    fields = [_as_text(f"c{place}", kind) for place, kind in enumerate(types)]
    places = ", ".join(f"c{place}" for place in range(len(types)))
    wrapped = f"SELECT {', '.join(fields)} FROM (\n{query}\n) AS q({places})"  # noqa: S608 - checked
    return list(shape.columns), wrapped


def _as_text(field: str, kind: str) -> str:
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"strftime({field} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
    return f"CAST({field} AS VARCHAR)" if "TIME ZONE" in kind or "INTERVAL" in kind else field


def _fetch(result: Any, max_rows: int) -> tuple[list[list[Any]], bool]:
    """Read rows up to their number or the size of an answer; tell whether some were left."""
    parsed = [str(item[1]) == "JSON" for item in result.description]
    rows: list[list[Any]] = []
    size = 0
    while batch := result.fetchmany(BATCH):
        for values in batch:
            row = _row(values, parsed)
            size += len(json.dumps(row))
            if size > LONGEST_ANSWER and not rows:
                raise OversizeError(f"one row has more than {LONGEST_ANSWER >> 20} MB")
            if len(rows) == max_rows or size > LONGEST_ANSWER:
                return rows, True
            rows.append(row)
    return rows, False


def _row(values: Iterable[Any], parsed: Iterable[bool]) -> list[Any]:
    return [
        json.loads(value) if is_json and isinstance(value, str) else jsonable(value)
        for value, is_json in zip(values, parsed, strict=True)
    ]
