"""Answers questions about data, in SQL or in words."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from cartrita.context import Context
from cartrita.cost.price import Price, per_call
from cartrita.declare import Agent, ModelResult, Params, Result, task
from cartrita.errors import InvalidParameters, ModelRequired
from cartrita.figures.asking import is_sql, understand
from cartrita.figures.table import Filters, columns, filtered
from cartrita.protocol.task import Name
from cartrita.protocol.text import Prose
from cartrita.providers.ports import ChatModel, ChatModels, ModelInfo, Rows, SqlEngine

DEFAULT_TABLE = "data"
"""What rows are called that come without a name."""

LONGEST_QUERY = 20_000
"""Characters."""

DEFAULT_ROWS = 1_000
MOST_ROWS = 10_000

EVERYTHING = "database"
"""Names all the data that came; older clients say it."""

ASKED = Price(usd=Decimal("0.01"), max_usd=Decimal("0.11"), max_tokens=20_000)
DUCKDB = ModelInfo(model="local/duckdb", provider="embedded", generative=False)
TEMPLATES = ModelInfo(
    model="local/question-templates",
    provider="embedded",
    generative=False,
    limitations=(
        "Understands counts, one figure of one column, and the first rows; look at `sql`.",
        "English only.",
    ),
)

Table = list[dict[str, Any]]
Tables = dict[str, Table]
Data = Annotated[
    Table | Tables,
    Field(description="Rows, then the table is called `data`; or rows by the name of their table."),
]


class QueryParams(Params):
    """A query and what it is about."""

    query: Annotated[Prose, Field(max_length=LONGEST_QUERY)] = Field(
        description="One SELECT in DuckDB's SQL; WITH is allowed."
    )
    data: Data
    max_rows: int = Field(default=DEFAULT_ROWS, ge=1, le=MOST_ROWS)


class DataQueryParams(Params):
    """A question in words or in SQL, and what it is about."""

    query: Annotated[Prose, Field(max_length=LONGEST_QUERY)] = Field(
        description="A question, or one SELECT in DuckDB's SQL."
    )
    data: Data
    source: Name = Field(
        default=EVERYTHING,
        description="Name of the table that is asked; `database` is all of them.",
    )
    filters: Filters = Field(default_factory=dict)
    max_rows: int = Field(default=DEFAULT_ROWS, ge=1, le=MOST_ROWS)
    model: Name | None = Field(
        default=None, description="Reads questions; default: the configured one."
    )


class DataQueryResult(ModelResult):
    """What was found, and how it was asked."""

    sql: str = Field(description="What was run.")
    understood: Literal["sql", "template", "model"] = Field(
        description="Whether the query was SQL, or who put it into SQL."
    )
    columns: list[str]
    rows: list[list[Any]] = Field(description="Values in the order of the columns.")
    row_count: int = Field(description="Rows in this answer.")
    truncated: bool = Field(description="Whether there were more.")


class QueryResult(Result):
    """What the query found."""

    columns: list[str]
    rows: list[list[Any]] = Field(description="Values in the order of the columns.")
    row_count: int = Field(description="Rows in this answer.")
    truncated: bool = Field(description="Whether there were more.")


class Analytics(Agent, team="intelligence"):
    """Answers questions about data that come with the request."""

    def __init__(self, engine: SqlEngine, models: ChatModels) -> None:
        from cartrita.writing.questions import Asker  # noqa: PLC0415 - imports LangChain

        self._engine, self._asker = engine, Asker(models)

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
        tables = _tables(params.data)
        found = await self._run(params.query, tables, params.max_rows, ctx)
        return QueryResult(
            columns=list(found.columns),
            rows=[list(row) for row in found.rows],
            row_count=len(found.rows),
            truncated=found.truncated,
        )

    @task(
        "analytics.data.query",
        cost=ASKED,
        timeout=60,
        idempotent=True,
        example={
            "query": "total amount by city",
            "data": [
                {"city": "Rome", "amount": 12.5},
                {"city": "Oslo", "amount": 30},
                {"city": "Rome", "amount": 7.5},
            ],
        },
    )
    async def query(self, params: DataQueryParams, ctx: Context) -> DataQueryResult:
        """Answer a question about tables given as JSON rows, and tell the SQL that was run.

        SQL is run as it is. Without a language model simple questions are understood, such as
        "total amount by city", "how many rows per month" or "top 5 by price".
        """
        tables = await ctx.in_thread(_asked, _tables(params.data), params)
        if is_sql(params.query):
            found = await self._run(params.query, tables, params.max_rows, ctx)
            return _result(params.query, "sql", DUCKDB, found)
        chat = self._asker.chat_if_any(params.model)
        if chat is None:
            sql = await ctx.in_thread(_by_template, params.query, tables)
            found = await self._run(sql, tables, params.max_rows, ctx)
            return _result(sql, "template", TEMPLATES, found)
        return await self._by_model(chat, params, tables, ctx)

    async def _by_model(
        self, chat: ChatModel, params: DataQueryParams, tables: Tables, ctx: Context
    ) -> DataQueryResult:
        """Have a model write the SQL, and once more where the engine refuses it."""
        asked = await self._asker.sql(chat, params.query, tables, ctx, ASKED)
        try:
            found = await self._run(asked.sql, tables, params.max_rows, ctx)
        except InvalidParameters as error:
            asked = await self._asker.repaired(asked, error.message, ctx, ASKED)
            try:
                found = await self._run(asked.sql, tables, params.max_rows, ctx)
            except InvalidParameters as again:
                raise asked.failed(again) from again
        return _result(asked.sql, "model", asked.info, found)

    async def _run(self, sql: str, tables: Tables, max_rows: int, ctx: Context) -> Rows:
        points = sum(len(row) for rows in tables.values() for row in rows)
        ctx.measure("dataPointsProcessed", points)
        return await self._engine.query(sql, tables, max_rows=max_rows, timeout=ctx.remaining())


def _tables(data: Table | Tables) -> Tables:
    return data if isinstance(data, dict) else {DEFAULT_TABLE: data}


def _asked(tables: Tables, params: DataQueryParams) -> Tables:
    """Return the tables that are meant, with the rows that fit the filters."""
    if params.source in tables:
        tables = {params.source: tables[params.source]}
    elif params.source != EVERYTHING:
        known = ", ".join(map(repr, tables))
        raise InvalidParameters(
            f"There is no table {params.source!r}, only {known}.",
            fields=[("parameters.source", f"must be one of {known}")],
        )
    there = {name: set(columns(rows)) for name, rows in tables.items()}
    unknown = set(params.filters).difference(*there.values())
    if unknown:
        name = min(unknown)
        raise InvalidParameters(
            f"No table has a column {name!r} to filter by.",
            fields=[(f"parameters.filters.{name}", "is no column")],
        )
    return {
        name: filtered(rows, {key: f for key, f in params.filters.items() if key in there[name]})
        for name, rows in tables.items()
    }


def _by_template(question: str, tables: Tables) -> str:
    """Return the SQL of a simple question.

    Raises:
        ModelRequired: It is not that simple.
    """
    found = None
    if len(tables) == 1:
        ((name, rows),) = tables.items()
        found = understand(question, name, rows)
    if found is None:
        raise ModelRequired(
            "This question needs a language model: set OPENAI_API_KEY, or OPENAI_BASE_URL for a "
            "compatible server such as Ollama or vLLM. Without one, put it in SQL, or as simply as "
            "'total amount by city' or 'how many rows per month', of one table (`source`)."
        )
    return found.sql


def _result(
    sql: str, understood: Literal["sql", "template", "model"], info: ModelInfo, found: Rows
) -> DataQueryResult:
    return DataQueryResult(
        sql=sql,
        understood=understood,
        columns=list(found.columns),
        rows=[list(row) for row in found.rows],
        row_count=len(found.rows),
        truncated=found.truncated,
        **info.fields(),
    )
