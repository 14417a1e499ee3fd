"""Calculates: figures, trends, profiles, reports."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from cartrita.context import Context
from cartrita.cost.price import per_call
from cartrita.declare import Agent, Params, Result, task
from cartrita.figures import trend
from cartrita.figures.given import (
    CITIES,
    Dataset,
    TimeColumn,
    check_columns,
    count_points,
    rows_of,
    the_time_column,
    time_column,
    wrong,
)
from cartrita.figures.metrics import ORDERED, USUAL, Figure, MetricName, calculate
from cartrita.figures.series import Series, SeriesError, points, read
from cartrita.figures.table import (
    MOST_ROWS,
    Filters,
    Period,
    Range,
    Row,
    filtered,
    groups,
    is_number,
    iso_of,
    moment,
    number_columns,
    present,
    seconds,
)
from cartrita.protocol.task import Name
from cartrita.protocol.wire import WireModel

DAY = 86_400
LIKELY = 0.05
"""A slope that chance makes as steep less often than this is called rising or falling."""

CYCLES = 2
MOST_SHOWN = 1_000
"""Groups, and correlations."""

Span = Annotated[
    Period | Range,
    Field(description="`{min, max}`, or a length of time such as `30d` before the latest row."),
]


class MetricsParams(Params):
    """What to calculate of which data."""

    dataset: Dataset
    metrics: Annotated[list[MetricName], Field(min_length=1, max_length=50)] = Field(
        default_factory=lambda: list(USUAL),
        description="Such as sum, mean, p95, growth (percent from the first to the last).",
    )
    columns: Annotated[list[Name], Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="Default: all that hold nothing but numbers."
    )
    group_by: Annotated[list[Name], Field(max_length=5)] = Field(default_factory=list)
    timeframe: Span | None = None
    time_column: TimeColumn = None
    filters: Filters = Field(default_factory=dict)


class Metrics(WireModel):
    """Figures of one column within one group."""

    column: str | None = Field(default=None, description="None where the data are bare numbers.")
    group: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, int | float] = Field(description="Those that these values have.")
    values: int
    missing: int = Field(description="Rows without a number there.")


class MetricsResult(Result):
    """Figures, column by column and group by group."""

    results: list[Metrics]
    rows: int = Field(description="Rows within the time frame that fit the filters.")


class TrendParams(Params):
    """A series, and what to look for in it."""

    dataset: Dataset
    trend_type: Literal["linear", "seasonal", "moving_average", "changepoints"] = "linear"
    period: Period | Annotated[int, Field(ge=1, le=MOST_ROWS)] = Field(
        default="30d",
        description="The window, or the length of a cycle: a time, or a number of points.",
    )
    value_column: Name | None = Field(default=None, description="Default: the only one of numbers.")
    time_column: TimeColumn = None
    filters: Filters = Field(default_factory=dict)


class Slope(WireModel):
    """A straight line by least squares."""

    slope: float = Field(description="Per day where there are times, else per point.")
    per: Literal["day", "point"]
    intercept: float = Field(description="At the first point.")
    r2: float = Field(description="Share of the variance that the line explains.")
    p_value: float = Field(description="How often chance alone makes a slope as steep.")
    low: float
    high: float = Field(description="`low` to `high` is the slope's 95 % confidence interval.")
    autocorrelation: float = Field(description="Of each residual with the one before it.")


class Season(WireModel):
    """A cycle: what each of its places adds to the trend."""

    points: int
    pattern: list[float] = Field(description="From the first point of the series on.")
    strength: float = Field(description="0 for none, 1 where it explains all but the trend.")


class ChangePoint(WireModel):
    """Where the mean changes."""

    index: int
    time: str | None = None
    before: float
    after: float


class TrendResult(Result):
    """What the series does; what was not asked for is not there."""

    trend_type: str
    direction: Literal["rising", "falling", "none"] = Field(
        description="`none` where chance alone is as likely (p 0.05 or more)."
    )
    points: int
    linear: Slope
    season: Season | None = None
    smoothed: list[float | None] | None = Field(
        default=None, description="Moving average, or trend without the cycle; a value per point."
    )
    changepoints: list[ChangePoint] | None = None
    start: str | None = None
    end: str | None = None


class Statistics(Agent, team="intelligence", concurrency=4):
    """Calculates with data that come with the request; no model is involved."""

    @task(
        "analytics.metrics.calculate",
        cost=per_call("0.015"),
        timeout=60,
        idempotent=True,
        example={"dataset": CITIES, "metrics": ["sum", "mean", "p90", "growth"]},
    )
    async def metrics(self, params: MetricsParams, ctx: Context) -> MetricsResult:
        """Calculate figures of numbers, per column and group, within a time frame."""
        ctx.measure("dataPointsProcessed", count_points(params.dataset))
        return await ctx.in_thread(_metrics, params, ctx)

    @task(
        "analytics.trend.analyze",
        cost=per_call("0.018"),
        timeout=60,
        idempotent=True,
        example={"dataset": CITIES, "valueColumn": "amount", "period": "2d"},
    )
    async def trend(self, params: TrendParams, ctx: Context) -> TrendResult:
        """Find the trend of a series: its slope and how sure that is, and a cycle or jumps.

        The slope is always told. Its p-value and interval hold for residuals that are
        independent and alike; where they follow each other, a warning says so.
        """
        ctx.measure("dataPointsProcessed", count_points(params.dataset))
        return await ctx.in_thread(_trend, params, ctx)


def _metrics(params: MetricsParams, ctx: Context) -> MetricsResult:
    if not isinstance(params.dataset[0], dict):
        return _of_numbers(params, ctx)
    rows = rows_of(params.dataset)
    check_columns(rows, [*params.filters], "filters")
    check_columns(rows, params.group_by, "groupBy")
    rows = filtered(rows, params.filters)
    if params.timeframe is not None or ORDERED & set(params.metrics):
        rows = _in_time(rows, params, ctx)
    chosen = params.columns or [n for n in number_columns(rows) if n not in params.group_by]
    check_columns(rows, chosen, "columns")
    found = []
    parts = groups(rows, params.group_by) if params.group_by else {(): rows}
    for key, members in [*parts.items()][:MOST_SHOWN]:
        group = dict(zip(params.group_by, key, strict=True))
        found += [_figures(name, group, members, params.metrics) for name in chosen]
    if len(parts) > MOST_SHOWN:
        ctx.warn(f"Of {len(parts)} groups the first {MOST_SHOWN} are shown.")
    _tell_missing(found, params.metrics, ctx)
    return MetricsResult(results=found, rows=len(rows))


def _of_numbers(params: MetricsParams, ctx: Context) -> MetricsResult:
    if params.group_by or params.timeframe or params.filters or params.columns:
        raise wrong("dataset", "has to be rows for groups, columns, filters and time frames")
    values = [_whole(value) for value in params.dataset if is_number(value)]
    missing = len(params.dataset) - len(values)
    made = _calculated(values, params.metrics)
    found = [Metrics(metrics=made, values=len(values), missing=missing)]
    _tell_missing(found, params.metrics, ctx)
    return MetricsResult(results=found, rows=len(params.dataset))


def _whole(value: float) -> Figure:
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _figures(
    name: str, group: dict[str, str], rows: Sequence[Row], wanted: Sequence[str]
) -> Metrics:
    values = [value for value in present(rows, name) if is_number(value)]
    made = _calculated(values, wanted)
    missing = len(rows) - len(values)
    return Metrics(column=name, group=group, metrics=made, values=len(values), missing=missing)


def _calculated(values: Sequence[Figure], wanted: Sequence[str]) -> dict[str, Figure]:
    made = {name: calculate(name, values) for name in wanted}
    return {name: value for name, value in made.items() if value is not None}


def _tell_missing(found: Sequence[Metrics], wanted: Sequence[str], ctx: Context) -> None:
    gone = [name for name in wanted if any(name not in item.metrics for item in found)]
    if gone:
        ctx.warn(f"Not everywhere to be had from these values: {', '.join(gone)}.")


def _in_time(rows: list[Row], params: MetricsParams, ctx: Context) -> list[Row]:
    """Return rows in the order of their times, those within the time frame."""
    if params.timeframe is not None:
        name = time_column(rows, params.time_column)
    elif (found := the_time_column(rows, params.time_column)) is not None:
        name = found
    else:
        return rows  # as they came
    timed = [(when, row) for row in rows if (when := moment(row.get(name))) is not None]
    if len(timed) < len(rows):
        ctx.warn(f"{len(rows) - len(timed)} rows have no time in {name!r} and are left out.")
    timed.sort(key=lambda pair: pair[0])
    low, high = _bounds(params.timeframe, timed[-1][0] if timed else 0.0)
    return [row for when, row in timed if low <= when <= high]


def _bounds(frame: Range | str | None, latest: float) -> tuple[float, float]:
    if isinstance(frame, str):
        return latest - seconds(frame), latest
    low = moment(frame.min) if frame else None
    high = moment(frame.max) if frame else None
    return (-math.inf if low is None else low), (math.inf if high is None else high)


def _trend(params: TrendParams, ctx: Context) -> TrendResult:
    series = _series(params)
    if series.skipped:
        ctx.warn(f"{series.skipped} points without a number or a time are left out.")
    if len(series.y) < trend.LEAST_LINE:
        raise wrong("dataset", f"needs at least {trend.LEAST_LINE} numbers")
    if series.times is not None and not series.times[-1] > series.times[0]:
        raise wrong("timeColumn", "all times are the same")
    line = trend.line(series.days, series.y)
    if abs(line.correlation) > trend.CORRELATED:
        ctx.warn(
            "Residuals follow each other: the p-value is too small and the interval too narrow."
        )
    way: Literal["rising", "falling"] = "rising" if line.slope > 0 else "falling"
    extra = _EXTRAS[params.trend_type](series, params, ctx)
    return TrendResult(
        trend_type=params.trend_type,
        direction=way if line.p < LIKELY else "none",
        points=len(series.y),
        linear=Slope(
            slope=line.slope,
            per="point" if series.times is None else "day",
            intercept=line.intercept,
            r2=line.r2,
            p_value=line.p,
            low=line.low,
            high=line.high,
            autocorrelation=line.correlation,
        ),
        start=None if series.times is None else iso_of(series.times[0]),
        end=None if series.times is None else iso_of(series.times[-1]),
        **extra,
    )


def _series(params: TrendParams) -> Series:
    try:
        rows: Any = params.dataset
        if isinstance(rows[0], dict):
            check_columns(rows, [*params.filters], "filters")
            rows = filtered(rows, params.filters)
        elif params.filters:
            raise wrong("filters", "are for rows")
        return read(rows, params.value_column, params.time_column)
    except SeriesError as error:
        raise wrong("dataset", str(error)) from error


def _window(series: Series, params: TrendParams, ctx: Context, least: int) -> int:
    try:
        window = points(params.period, series)
    except SeriesError as error:
        raise wrong("period", str(error)) from error
    if not series.even:
        ctx.warn("The points are not evenly spaced; they are taken as if they were.")
    if window < least:
        raise wrong("period", f"is {window} points of this series; it takes at least {least}")
    return window


def _seasonal(series: Series, params: TrendParams, ctx: Context) -> dict[str, Any]:
    window = _window(series, params, ctx, 2)
    if len(series.y) < CYCLES * window:
        raise wrong("period", f"the series has {len(series.y)} points, two cycles {2 * window}")
    found = trend.cycle(series.y, window)
    smoothed = [None if math.isnan(value) else float(value) for value in found.trend]
    pattern = [float(value) for value in found.pattern]
    season = Season(points=window, pattern=pattern, strength=found.strength)
    return {"season": season, "smoothed": smoothed}


def _smoothed(series: Series, params: TrendParams, ctx: Context) -> dict[str, Any]:
    window = _window(series, params, ctx, 1)
    return {"smoothed": [float(value) for value in trend.moving_average(series.y, window)]}


def _changes(series: Series, _params: TrendParams, _ctx: Context) -> dict[str, Any]:
    found = [
        ChangePoint(
            index=jump.index,
            time=None if series.times is None else iso_of(series.times[jump.index]),
            before=jump.before,
            after=jump.after,
        )
        for jump in trend.jumps(series.y)
    ]
    return {"changepoints": found}


_EXTRAS: dict[str, Any] = {
    "linear": lambda _series, _params, _ctx: {},
    "seasonal": _seasonal,
    "moving_average": _smoothed,
    "changepoints": _changes,
}
