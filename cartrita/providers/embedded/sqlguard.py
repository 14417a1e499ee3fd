"""Lets through one SELECT over known tables."""

import logging
from collections.abc import Collection

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import SqlglotError

LONGEST_SQL = 20_000
"""Characters."""

TABLE_FUNCTIONS = frozenset({"generate_series", "range", "unnest", "json_each"})
"""What may stand after FROM besides tables; all others read files, settings or catalogues."""

FORBIDDEN = frozenset(
    {
        "current_setting",
        "currval",
        "getenv",
        "getvariable",
        "json_execute_serialized_sql",
        "json_serialize_plan",
        "nextval",
        "pg_sleep",
        "setval",
        "sleep_ms",
        "write_log",
    }
)
"""Functions that read settings, keep state, or only wait."""

FORBIDDEN_PREFIXES = ("duckdb_", "http_", "inet_", "parquet_", "pragma_", "read_")


class RefusedError(ValueError):
    """The query is not one we run."""


# It tells of statements it knows only by name; they are refused anyway.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


def checked(sql: str, tables: Collection[str]) -> str:
    """Return the text of one SELECT that reads nothing but `tables`, without its semicolon.

    This makes refusals clear. It is not what holds a query: the engine has no access to
    files, network or settings, and its process has neither secrets nor much memory, whatever
    a parser made of the text.

    Raises:
        RefusedError: It is not; the message says why.
    """
    if len(sql) > LONGEST_SQL:
        raise RefusedError(f"a query has at most {LONGEST_SQL} characters, this has {len(sql)}")
    try:
        _check_query(_one(sql), tables)
        return _without_end(sql)
    except SqlglotError as error:
        raise RefusedError(_first_problem(error)) from None
    except RecursionError:
        raise RefusedError("the query is nested too deeply") from None


def _one(sql: str) -> exp.Query:
    parsed = sqlglot.parse(sql, dialect="duckdb")
    statements = [item for item in parsed if item and not isinstance(item, exp.Semicolon)]
    if len(statements) != 1:
        raise RefusedError(f"one statement is allowed, not {len(statements)}")
    statement = statements[0]
    if not isinstance(statement, exp.Query) or statement.find(exp.Into, exp.DML, exp.DDL):
        raise RefusedError(f"only SELECT is allowed, not {statement.key.upper()}")
    return statement


def _check_query(query: exp.Query, tables: Collection[str]) -> None:
    known = {name.lower() for name in tables}
    known |= {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        _check_table(table, known)
    for function in query.find_all(exp.Func):
        _check_function(function)


def _without_end(sql: str) -> str:
    ends = (
        token.start
        for token in sqlglot.tokenize(sql, dialect="duckdb")
        if token.token_type is TokenType.SEMICOLON
    )
    return sql[: next(ends, len(sql))]


def _first_problem(error: SqlglotError) -> str:
    problems = getattr(error, "errors", None)
    if not problems:
        return "the query cannot be read as SQL"
    first = problems[0]
    return f"{first['description']} (line {first['line']}, column {first['col']})"


def _check_table(table: exp.Table, known: Collection[str]) -> None:
    source = table.this
    if isinstance(source, exp.Func):
        name = _function_name(source)
        if name not in TABLE_FUNCTIONS:
            raise RefusedError(f"{name!r} may not stand after FROM")
    elif table.db or table.catalog or table.name.lower() not in known:
        name = ".".join(part.name for part in table.parts)
        raise RefusedError(f"there is no table {name!r}, only {', '.join(sorted(known))}")


def _check_function(function: exp.Func) -> None:
    name = _function_name(function)
    if name in FORBIDDEN or name.startswith(FORBIDDEN_PREFIXES):
        raise RefusedError(f"the function {name!r} is not allowed")


def _function_name(function: exp.Func) -> str:
    name = function.name if isinstance(function, exp.Anonymous) else function.sql_name()
    return name.lower()
