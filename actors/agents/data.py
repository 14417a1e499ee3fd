"""Describes, transforms and reports on data."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from cartrita.context import Context
from cartrita.cost.price import per_call
from cartrita.declare import Agent, Params, Result, task
from cartrita.figures import report
from cartrita.figures.given import (
    CITIES,
    Rows,
    TimeColumn,
    check_columns,
    count_points,
    time_column,
    wrong,
)
from cartrita.figures.profile import correlations, profile
from cartrita.figures.series import SeriesError
from cartrita.figures.steps import Step, StepError
from cartrita.figures.table import Filters, Range, Row, columns, filtered, number_columns
from cartrita.protocol.task import Name
from cartrita.protocol.text import Prose
from cartrita.protocol.wire import WireModel

MOST_SHOWN = 1_000
"""Correlations."""


class ReportParams(Params):
    """What to report on, and how."""

    data: Annotated[Rows, Field(min_length=1)]
    report_type: report.ReportType = "summary"
    title: Annotated[Prose, Field(max_length=300)] = "Report"
    date_range: Range | None = None
    time_column: TimeColumn = None
    value_column: Name | None = Field(default=None, description="Of a trend.")
    group_by: Name | None = None
    filters: Filters = Field(default_factory=dict)
    format: Literal["json", "markdown", "html"] = "json"


class ReportSection(WireModel):
    """Sentences and a table under a heading."""

    heading: str
    facts: list[str]
    header: list[str]
    rows: list[list[str | int | float | None]]


class ReportResult(Result):
    """The report."""

    title: str
    format: str
    rows: int = Field(description="Rows it is about.")
    sections: list[ReportSection]
    content: str | None = Field(default=None, description="The text, unless the format is json.")


class AnalyzeParams(Params):
    """What to describe."""

    data: Annotated[Rows, Field(min_length=1)]
    filters: Filters = Field(default_factory=dict)


class ColumnProfile(WireModel):
    """What one column holds."""

    name: str
    kind: Literal["number", "time", "text", "boolean", "mixed", "empty"]
    present: int
    missing: int
    distinct: int
    figures: dict[str, int | float] = Field(description="Of numbers.")
    outliers: int = Field(description="Numbers beyond Tukey's fences.")
    frequent: list[tuple[str, int]] = Field(description="Values and how often; not of numbers.")
    span: tuple[str, str] | None = Field(default=None, description="Of times.")


class Correlation(WireModel):
    """Pearson's r of two columns."""

    a: str
    b: str
    r: float
    rows: int


class AnalyzeResult(Result):
    """A description of the data."""

    rows: int
    columns: list[ColumnProfile]
    correlations: list[Correlation] = Field(description="The strongest first.")


class ProcessParams(Params):
    """Rows, and what becomes of them, step by step."""

    data: Rows
    steps: Annotated[list[Step], Field(min_length=1, max_length=50)]


class ProcessResult(Result):
    """The rows after the last step."""

    data: list[dict[str, Any]]
    row_count: int
    columns: list[str]


class Data(Agent, team="intelligence", concurrency=4):
    """Works on rows that come with the request; no model is involved."""

    @task(
        "analytics.report.generate",
        cost=per_call("0.02"),
        timeout=60,
        idempotent=True,
        example={"data": CITIES, "reportType": "summary", "groupBy": "city", "format": "markdown"},
    )
    async def report(self, params: ReportParams, ctx: Context) -> ReportResult:
        """Report on data: an overview, figures, groups, a trend; every sentence a calculation."""
        ctx.measure("dataPointsProcessed", count_points(params.data))
        return await ctx.in_thread(_report, params)

    @task(
        "data.analyze",
        cost=per_call("0.01"),
        timeout=60,
        idempotent=True,
        example={"data": CITIES},
    )
    async def analyze(self, params: AnalyzeParams, ctx: Context) -> AnalyzeResult:
        """Describe data: kinds, gaps, figures, outliers, frequent values, correlations."""
        ctx.measure("dataPointsProcessed", count_points(params.data))
        return await ctx.in_thread(_analyze, params)

    @task(
        "data.process",
        cost=per_call("0.01"),
        timeout=60,
        idempotent=True,
        example={
            "data": CITIES,
            "steps": [
                {"op": "filter", "filters": {"amount": {"min": 14}}},
                {
                    "op": "aggregate",
                    "by": ["city"],
                    "figures": {"total": {"column": "amount", "metric": "sum"}},
                },
                {"op": "sort", "by": ["total"], "descending": True},
            ],
        },
    )
    async def process(self, params: ProcessParams, ctx: Context) -> ProcessResult:
        """Filter, sort, clean, convert and aggregate rows, one step after the other."""
        ctx.measure("dataPointsProcessed", count_points(params.data))
        rows = await ctx.in_thread(_processed, params)
        made = [dict(row) for row in rows]
        return ProcessResult(data=made, row_count=len(made), columns=columns(made))


def _report(params: ReportParams) -> ReportResult:
    rows = params.data
    check_columns(rows, [*params.filters], "filters")
    check_columns(rows, [params.group_by] if params.group_by else [], "groupBy")
    rows = filtered(rows, params.filters)
    if params.date_range:
        name = time_column(rows, params.time_column)
        rows = filtered(rows, {name: params.date_range})
    asked = report.Asked(
        params.report_type, params.group_by, params.value_column, params.time_column
    )
    try:
        found = report.sections(rows, asked)
    except SeriesError as error:
        raise wrong("data", str(error)) from error
    written = {"markdown": report.markdown, "html": report.html}.get(params.format)
    return ReportResult(
        title=params.title,
        format=params.format,
        rows=len(rows),
        sections=[
            ReportSection(heading=s.heading, facts=s.facts, header=s.header, rows=s.rows)
            for s in found
        ],
        content=written(params.title, found) if written else None,
    )


def _analyze(params: AnalyzeParams) -> AnalyzeResult:
    rows = params.data
    check_columns(rows, [*params.filters], "filters")
    rows = filtered(rows, params.filters)
    found = correlations(rows, number_columns(rows))
    return AnalyzeResult(
        rows=len(rows),
        columns=[
            ColumnProfile.model_validate(item, from_attributes=True) for item in profile(rows)
        ],
        correlations=[
            Correlation(a=item.a, b=item.b, r=item.r, rows=item.rows) for item in found[:MOST_SHOWN]
        ],
    )


def _processed(params: ProcessParams) -> Sequence[Row]:
    rows: Sequence[Row] = params.data
    for place, step in enumerate(params.steps):
        try:
            rows = step.apply(rows)
        except StepError as error:
            raise wrong(f"steps.{place}", str(error)) from error
    return rows
