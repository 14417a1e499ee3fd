"""Draws data."""

import base64
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cartrita.context import Context
from cartrita.cost.price import per_call
from cartrita.declare import Agent, Needs, Params, Result, task
from cartrita.figures.given import check_columns, count_points, rows_of, wrong
from cartrita.figures.table import (
    Filters,
    Row,
    columns,
    filtered,
    is_number,
    label,
    moment,
    number_columns,
    present,
    time_columns,
)
from cartrita.protocol.task import Name
from cartrita.protocol.text import Unicode
from cartrita.providers.ports_charts import Chart, ChartType, Draughtsman, ImageFormat, Line

MOST_POINTS = 20_000
"""Of all series together; more take seconds and cannot be told apart."""

MOST_BARS = 500
MOST_SLICES = 50
MOST_LINES = 20
NO_AXIS = ("histogram", "box")

Caption = Annotated[Unicode, Field(max_length=200)]


class ChartParams(Params):
    """What to draw, and how."""

    data: list[float | None] | list[Row] = Field(
        min_length=1, max_length=MOST_POINTS, description="Numbers in order, or rows."
    )
    chart_type: ChartType = "line"
    x: Name | None = Field(
        default=None,
        description="Column along the axis; default: the only one of times, else the first that "
        "is no series.",
    )
    y: Annotated[list[Name], Field(min_length=1, max_length=MOST_LINES)] | None = Field(
        default=None, description="Columns to draw; default: all that hold nothing but numbers."
    )
    filters: Filters = Field(default_factory=dict)
    title: Caption = ""
    x_label: Caption | None = Field(default=None, description="Default: the column's name.")
    y_label: Caption | None = None
    format: ImageFormat = "png"
    width: int = Field(default=960, ge=200, le=3000, description="Pixels.")
    height: int = Field(default=540, ge=150, le=3000, description="Pixels.")

    @model_validator(mode="after")
    def _columns_of_rows(self) -> Self:
        bare = not isinstance(self.data[0], dict)
        if bare and (self.x or self.y or self.filters):
            raise ValueError("`x`, `y` and `filters` are for data that are rows")
        return self


class ChartResult(Result):
    """The image; where it is large, the whole result is a blob."""

    format: ImageFormat
    content_type: Literal["image/png", "image/svg+xml"]
    encoding: Literal["base64", "utf-8"] = Field(description="Of `data`: base64 for PNG.")
    data: str
    bytes: int = Field(description="Of the image itself.")
    width: int
    height: int
    series: list[str]
    points: int = Field(description="Numbers that were drawn.")


class Charts(Agent, team="intelligence", needs=Needs(isolation="own"), pool=(0, 2), concurrency=2):
    """Draws charts as PNG and SVG."""

    def __init__(self, draughtsman: Draughtsman) -> None:
        self._draughtsman = draughtsman

    @task(
        "analytics.chart.render",
        cost=per_call("0.01"),
        timeout=60,
        idempotent=True,
        example={
            "data": [
                {"month": "2026-01-01", "sales": 120, "costs": 80},
                {"month": "2026-02-01", "sales": 150, "costs": 95},
                {"month": "2026-03-01", "sales": 170, "costs": 90},
            ],
            "chartType": "line",
            "title": "Sales and costs",
            "format": "svg",
        },
    )
    async def render(self, params: ChartParams, ctx: Context) -> ChartResult:
        """Draw lines, areas, bars, points, a histogram, boxes or a pie of numbers."""
        ctx.measure("dataPointsProcessed", count_points(params.data))
        chart = await ctx.in_thread(_chart, params)
        drawing = await ctx.in_thread(self._draughtsman.draw, chart, params.format)
        for note in drawing.notes:
            ctx.warn(note)
        svg = params.format == "svg"
        data = drawing.data.decode() if svg else base64.b64encode(drawing.data).decode()
        return ChartResult(
            format=params.format,
            content_type="image/svg+xml" if svg else "image/png",
            encoding="utf-8" if svg else "base64",
            data=data,
            bytes=len(drawing.data),
            width=params.width,
            height=params.height,
            series=[line.name for line in chart.lines],
            points=sum(value is not None for line in chart.lines for value in line.values),
        )


def _chart(params: ChartParams) -> Chart:
    """Return what to draw.

    Raises:
        InvalidParameters: The data have no such columns, or this chart cannot show them.
    """
    rows = rows_of(params.data)
    if rows:
        x, lines, times, x_label = _from_rows(rows, params)
    else:
        values = [value if is_number(value) else None for value in params.data]
        x, times, x_label = list(range(1, len(values) + 1)), False, ""
        lines = [Line(label(params.y_label or "value"), [_float(value) for value in values])]
    _check(lines, params)
    return Chart(
        params.chart_type,
        x,
        lines,
        times,
        params.title,
        x_label if params.x_label is None else params.x_label,
        params.y_label or (lines[0].name if len(lines) == 1 else ""),
        params.width,
        params.height,
    )


def _float(value: object) -> float | None:
    return float(value) if is_number(value) else None


def _from_rows(
    rows: list[Row], params: ChartParams
) -> tuple[list[float | str], list[Line], bool, str]:
    check_columns(rows, [*params.filters], "filters")
    rows = filtered(rows, params.filters)
    if not rows:
        raise wrong("filters", "no row fits them")
    x = _axis(rows, params)
    names = params.y or [name for name in number_columns(rows) if name != x][:MOST_LINES]
    if not names:
        raise wrong("y", "no column holds nothing but numbers")
    check_columns(rows, names, "y")
    at, times = _along(rows, x)
    if times:
        order = sorted(range(len(rows)), key=lambda place: float(at[place]))
        rows, at = [rows[place] for place in order], [at[place] for place in order]
    lines = [Line(label(name), [_float(row.get(name)) for row in rows]) for name in names]
    return at, lines, times, label(x) if x and params.chart_type not in NO_AXIS else ""


def _axis(rows: list[Row], params: ChartParams) -> str | None:
    if params.x:
        check_columns(rows, [params.x], "x")
        return params.x
    timed = time_columns(rows)
    if len(timed) == 1:
        return timed[0]
    drawn = params.y or number_columns(rows)
    return next((name for name in columns(rows) if name not in drawn), None)


def _along(rows: list[Row], x: str | None) -> tuple[list[float | str], bool]:
    """Return what stands along the axis, and whether it is times."""
    if x is None:
        return [float(place) for place in range(1, len(rows) + 1)], False
    values = [row.get(x) for row in rows]
    instants = [moment(value) for value in values]
    if all(instant is not None for instant in instants):
        return [instant for instant in instants if instant is not None], True
    if all(map(is_number, present(rows, x))) and None not in values:
        return [float(value) for value in values if is_number(value)], False
    return [label(value) for value in values], False


def _check(lines: list[Line], params: ChartParams) -> None:
    """Refuse what would be no chart, or one that nobody can read."""
    kind, longest = params.chart_type, len(lines[0].values)
    if sum(len(line.values) for line in lines) > MOST_POINTS:
        raise wrong("data", f"has more than {MOST_POINTS} numbers to draw; aggregate them first")
    if not any(value is not None for line in lines for value in line.values):
        raise wrong("y", "there is no number to draw")
    if kind == "bar" and longest > MOST_BARS:
        raise wrong("chartType", f"at most {MOST_BARS} bars can be drawn, not {longest}")
    if kind == "pie":
        _check_pie(lines)


def _check_pie(lines: list[Line]) -> None:
    values = [value for value in lines[0].values if value is not None]
    if len(lines) > 1:
        raise wrong("y", "a pie has one column")
    if len(values) > MOST_SLICES or min(values) < 0 or sum(values) <= 0:
        raise wrong("chartType", f"a pie has at most {MOST_SLICES} slices, none below zero")
