"""Answers questions that are put in SQL."""

from typing import Annotated, Any

from pydantic import Field

from cartrita.context import Context
from cartrita.cost.price import per_call
from cartrita.declare import Agent, Params, Result, task
from cartrita.protocol.text import Prose
from cartrita.providers.ports import SqlEngine

DEFAULT_TABLE = "data"
"""What rows are called that come without a name."""

LONGEST_QUERY = 20_000
"""Characters."""

DEFAULT_ROWS = 1_000
MOST_ROWS = 10_000

Table = list[dict[str, Any]]


class QueryParams(Params):
    """A query and what it is about."""

    query: Annotated[Prose, Field(max_length=LONGEST_QUERY)] = Field(
        description="One SELECT in DuckDB's SQL; WITH is allowed."
    )
    data: Table | dict[str, Table] = Field(
        description="Rows, then the table is called `data`; or rows by the name of their table.",
    )
    max_rows: int = Field(default=DEFAULT_ROWS, ge=1, le=MOST_ROWS)


class QueryResult(Result):
    """What the query found."""

    columns: list[str]
    rows: list[list[Any]] = Field(description="Values in the order of the columns.")
    row_count: int = Field(description="Rows in this answer.")
    truncated: bool = Field(description="Whether there were more.")


class Analytics(Agent, team="intelligence"):
    """Runs SQL over data that comes with the request."""

    def __init__(self, engine: SqlEngine) -> None:
        self._engine = engine

    @task(
        "analytics.run_query",
        cost=per_call("0.01"),
        timeout=30,
        idempotent=True,
        example={
            "query": "SELECT city, sum(amount) AS total FROM data GROUP BY city ORDER BY total",
            "data": [
                {"city": "Rome", "amount": 12.5},
                {"city": "Oslo", "amount": 30},
                {"city": "Rome", "amount": 7.5},
            ],
        },
    )
    async def run_query(self, params: QueryParams, ctx: Context) -> QueryResult:
        """Run one SELECT over tables given as JSON rows.

        Columns are the union of the rows' keys, typed by their values; texts that are all ISO
        dates or times become such. Nothing else can be read: no files, no network.
        """
        tables = params.data if isinstance(params.data, dict) else {DEFAULT_TABLE: params.data}
        found = await self._engine.query(
            params.query, tables, max_rows=params.max_rows, timeout=ctx.remaining()
        )
        points = sum(len(row) for rows in tables.values() for row in rows)
        ctx.measure("dataPointsProcessed", points)
        return QueryResult(
            columns=list(found.columns),
            rows=[list(row) for row in found.rows],
            row_count=len(found.rows),
            truncated=found.truncated,
        )
