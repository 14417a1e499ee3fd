"""Calculates: arithmetic, statistics and SQL over given rows."""

import math
from statistics import fmean, linear_regression, median, quantiles, stdev
from typing import Any, Literal

from pydantic import Field, FiniteFloat

from cartrita.context import Context
from cartrita.figures.student import quantile, two_sided
from cartrita.providers.embedded.arithmetic import evaluate
from cartrita.providers.embedded.intent import CALCULATOR
from cartrita.providers.ports import SqlEngine
from cartrita.tools.declare import Input, Tools, tool

MOST_NUMBERS = 10_000
MOST_ROWS = 1_000
MOST_ROWS_BACK = 50
QUERY_SECONDS = 10.0

Numbers = list[FiniteFloat]


class ExpressionInput(Input):
    """What to compute."""

    expression: str = Field(max_length=1_000)


class StatisticsInput(Input):
    """One or two samples, and what to find out about them."""

    data: Numbers = Field(min_length=2, max_length=MOST_NUMBERS)
    other: Numbers = Field(
        default=[],
        max_length=MOST_NUMBERS,
        description="A second sample; of equal length for `correlation`, which pairs them.",
    )
    test_type: Literal["describe", "compare", "correlation"] = Field(
        default="describe",
        description="`compare` is Welch's t-test; `correlation` is Pearson's, with the line.",
    )
    confidence_level: float = Field(default=0.95, gt=0.5, lt=1)


class AnalysisInput(Input):
    """Rows and a question about them in SQL."""

    data: list[dict[str, Any]] = Field(
        min_length=1, max_length=MOST_ROWS, description="Rows; in SQL the table is called `data`."
    )
    query: str | None = Field(
        default=None,
        max_length=5_000,
        description="One SELECT in DuckDB's SQL; without it every column is summed up.",
    )


class FigureTools(Tools):
    """Numbers, computed rather than guessed."""

    def __init__(self, engine: SqlEngine) -> None:
        self._engine = engine

    @tool(CALCULATOR)
    async def calculate(self, given: ExpressionInput, ctx: Context) -> str:
        """Evaluate arithmetic: + - * / // % ** ( ) sqrt log ln exp sin cos min max round pi e."""
        return evaluate(given.expression)

    @tool("statistics_engine", agents=("langchain", "planner"))
    async def statistics(self, given: StatisticsInput, ctx: Context) -> dict[str, Any]:
        """Describe a sample, compare two, or correlate them, with a confidence interval."""
        if given.test_type == "describe":
            return describe(given.data, given.confidence_level)
        if len(given.other) < 2:  # noqa: PLR2004 - one value has no spread
            raise ValueError(f"{given.test_type!r} needs `other` with at least two numbers")
        if given.test_type == "compare":
            return compare(given.data, given.other, given.confidence_level)
        return correlate(given.data, given.other)

    @tool("data_analyzer", agents=("langchain", "planner"))
    async def analyze(self, given: AnalysisInput, ctx: Context) -> dict[str, Any]:
        """Answer a SQL SELECT over given rows, or sum up every column of them."""
        found = await self._engine.query(
            given.query or "SUMMARIZE SELECT * FROM data",
            {"data": given.data},
            max_rows=MOST_ROWS_BACK,
            timeout=min(QUERY_SECONDS, ctx.remaining()),
        )
        rows = [list(row) for row in found.rows]
        return {"columns": list(found.columns), "rows": rows, "truncated": found.truncated}


def describe(data: Numbers, level: float) -> dict[str, Any]:
    """Sum up one sample; the interval is of its mean, by Student's t."""
    low, middle, high = quantiles(data, n=4, method="inclusive")
    spread = stdev(data)
    half = quantile(level, len(data) - 1) * spread / math.sqrt(len(data))
    mean = fmean(data)
    return {
        "count": len(data),
        "mean": mean,
        "median": median(data),
        "stdev": spread,
        "min": min(data),
        "max": max(data),
        "quartiles": [low, middle, high],
        "meanInterval": [mean - half, mean + half],
        "confidence": level,
    }


def compare(first: Numbers, second: Numbers, level: float) -> dict[str, Any]:
    """Compare two means by Welch's t-test, which takes no equal spreads for granted."""
    parts = [stdev(sample) ** 2 / len(sample) for sample in (first, second)]
    error = math.sqrt(sum(parts))
    if error == 0:
        raise ValueError("neither sample varies, so there is nothing to test")
    difference = fmean(first) - fmean(second)
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(sample) - 1) for part, sample in zip(parts, (first, second), strict=True)
    )
    half = quantile(level, freedom) * error
    p = two_sided(difference / error, freedom)
    return {
        "difference": difference,
        "interval": [difference - half, difference + half],
        "t": difference / error,
        "degreesOfFreedom": freedom,
        "p": p,
        "significant": p < 1 - level,
        "confidence": level,
    }


def correlate(first: Numbers, second: Numbers) -> dict[str, Any]:
    """Correlate pairs, with the line through them; p by Student's t."""
    if len(first) != len(second):
        raise ValueError(f"`data` has {len(first)} numbers and `other` {len(second)}: pair them")
    if len(set(first)) == 1 or len(set(second)) == 1:
        raise ValueError("a sample that does not vary correlates with nothing")
    line = linear_regression(first, second)
    r = max(-1.0, min(1.0, line.slope * stdev(first) / stdev(second)))
    freedom = len(first) - 2
    certain = math.isclose(abs(r), 1, abs_tol=1e-12) or not freedom
    p = None if certain else two_sided(r * math.sqrt(freedom / (1 - r * r)), freedom)
    return {"r": r, "slope": line.slope, "intercept": line.intercept, "pairs": len(first), "p": p}
