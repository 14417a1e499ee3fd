"""Tests of actors/agents/statistics.py."""

import pytest

from actors.agents.statistics import CITIES, Statistics
from cartrita.errors import InvalidParameters
from cartrita.testing import run_task

METRICS, TREND = "analytics.metrics.calculate", "analytics.trend.analyze"


async def run(task, params, **context):
    return (await run_task(Statistics, task, params, **context)).to_wire()


async def test_examples_run():
    for spec in Statistics.spec.tasks:
        assert await run(spec.name, spec.example)


async def test_figures_come_by_column_and_group():
    params = {"dataset": CITIES, "metrics": ["sum", "count"], "groupBy": ["city"]}
    result = await run(METRICS, params)
    assert result["results"] == [
        {
            "column": "amount",
            "group": {"city": "Rome"},
            "metrics": {"sum": 47.5, "count": 3},
            "values": 3,
            "missing": 0,
        },
        {
            "column": "amount",
            "group": {"city": "Oslo"},
            "metrics": {"sum": 32, "count": 2},
            "values": 2,
            "missing": 0,
        },
    ]


async def test_bare_numbers_have_figures_and_gaps():
    result = await run(METRICS, {"dataset": [1, None, 3], "metrics": ["mean", "growth"]})
    assert result["results"] == [
        {"group": {}, "metrics": {"mean": 2.0, "growth": 200.0}, "values": 2, "missing": 1}
    ]


@pytest.mark.parametrize(
    ("timeframe", "amounts"),
    [("2d", 3), ({"min": "2026-03-02", "max": "2026-03-03"}, 2), ({"min": "2026-03-05"}, 1)],
)
async def test_a_time_frame_keeps_what_is_within(timeframe, amounts):
    params = {"dataset": CITIES, "metrics": ["count"], "timeframe": timeframe}
    assert (await run(METRICS, params))["results"][0]["metrics"]["count"] == amounts


async def test_growth_goes_by_time_whatever_the_order_of_the_rows():
    params = {"dataset": CITIES[::-1], "metrics": ["growth", "first"]}
    assert (await run(METRICS, params))["results"][0]["metrics"] == {"growth": 56.0, "first": 12.5}


async def test_what_there_is_no_figure_of_is_left_out_and_told():
    warnings = []
    result = await run(METRICS, {"dataset": [5], "metrics": ["std", "sum"]}, warnings=warnings)
    assert result["results"][0]["metrics"] == {"sum": 5}
    assert warnings == ["Not everywhere to be had from these values: std."]


async def test_values_that_came_in_are_counted():
    measures = {}
    await run(METRICS, {"dataset": CITIES}, measures=measures)
    assert measures == {"dataPointsProcessed": 15}


async def test_a_trend_is_told_per_day_with_its_certainty():
    result = await run(TREND, {"dataset": CITIES, "valueColumn": "amount"})
    assert (result["direction"], result["points"]) == ("rising", 5)
    assert result["linear"]["per"] == "day"
    assert result["linear"]["slope"] == pytest.approx(1.8)
    assert result["linear"]["low"] < 1.8 < result["linear"]["high"]
    assert (result["start"], result["end"]) == ("2026-03-01", "2026-03-05")


async def test_a_season_has_its_pattern():
    params = {"dataset": [1, 5, 2, 6, 3, 7, 4, 8], "trendType": "seasonal", "period": 2}
    result = await run(TREND, params)
    assert result["season"]["pattern"] == pytest.approx([-1.75, 1.75])
    assert result["season"]["strength"] == pytest.approx(1.0)
    assert result["smoothed"][0] is None


async def test_averages_move_and_jumps_are_placed():
    rows = [{"day": f"2026-01-{day:02}", "v": 1 if day < 6 else 9} for day in range(1, 11)]
    moved = await run(TREND, {"dataset": rows, "trendType": "moving_average", "period": "2d"})
    assert moved["smoothed"][4:7] == pytest.approx([1.0, 5.0, 9.0])
    jumped = await run(TREND, {"dataset": rows, "trendType": "changepoints"})
    assert jumped["changepoints"] == [
        {"index": 5, "time": "2026-01-06", "before": 1.0, "after": 9.0}
    ]


async def test_what_weakens_the_statistics_is_told():
    warnings = []
    rows = [{"t": f"2026-01-{day:02}", "v": day**2} for day in (1, 2, 3, 4, 5, 6, 7, 8, 9, 25)]
    rows.append({"t": "never", "v": 1})
    params = {"dataset": rows, "trendType": "moving_average", "period": 2, "timeColumn": "t"}
    await run(TREND, params, warnings=warnings)
    assert [text.split()[0] for text in warnings] == ["1", "Residuals", "The"]


@pytest.mark.parametrize(
    ("task", "params", "field"),
    [
        (METRICS, {"dataset": []}, "dataset"),
        (METRICS, {"dataset": [1], "metrics": ["magic"]}, "metrics"),
        (METRICS, {"dataset": [1], "metrics": ["p101"]}, "metrics"),
        (METRICS, {"dataset": CITIES, "groupBy": ["country"]}, "groupBy"),
        (METRICS, {"dataset": CITIES, "columns": ["price"]}, "columns"),
        (METRICS, {"dataset": [{"a": 1}], "timeframe": "3d"}, "timeColumn"),
        (METRICS, {"dataset": [1], "groupBy": ["a"]}, "dataset"),
        (METRICS, {"dataset": CITIES, "timeframe": "soon"}, "timeframe"),
        (TREND, {"dataset": [1, 2]}, "dataset"),
        (TREND, {"dataset": [1, 2, 3], "trendType": "seasonal"}, "period"),
        (TREND, {"dataset": [1, 2, 3], "trendType": "seasonal", "period": 2}, "period"),
        (TREND, {"dataset": [1, 2, 3], "period": 0}, "period"),
        (TREND, {"dataset": [{"a": 1, "b": 2}] * 3}, "dataset"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(task, params, field):
    with pytest.raises(InvalidParameters) as caught:
        await run(task, params)
    assert field in caught.value.fields[0].field
