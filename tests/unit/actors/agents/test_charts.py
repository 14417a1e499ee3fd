"""Tests of actors/agents/charts.py."""

import base64

import pytest

from actors.agents.charts import Charts
from cartrita.errors import InvalidParameters
from cartrita.providers.ports_charts import Draughtsman, Drawing
from cartrita.testing import run_task

TASK = "analytics.chart.render"
ROWS = [
    {"day": "2026-01-02", "city": "Oslo", "sold": 7, "spent": 2.5},
    {"day": "2026-01-01", "city": "Rome", "sold": 5, "spent": None},
]


class Sketch:
    """Draws nothing, and remembers what it was to draw."""

    def draw(self, chart, form):
        self.chart, self.form = chart, form
        return Drawing(b"\x89PNG" if form == "png" else b"<svg/>", ("A letter is missing.",))


async def render(params, **context):
    sketch = Sketch()
    result = await run_task(Charts, TASK, params, {Draughtsman: sketch}, **context)
    return result.to_wire(), sketch


async def test_a_png_comes_in_base64_and_an_svg_as_it_is():
    warnings = []
    png, _ = await render({"data": ROWS}, warnings=warnings)
    assert base64.b64decode(png["data"]) == b"\x89PNG"
    assert (png["contentType"], png["encoding"], png["bytes"]) == ("image/png", "base64", 4)
    svg, _ = await render({"data": ROWS, "format": "svg"})
    assert (svg["data"], svg["encoding"], svg["contentType"]) == (
        "<svg/>",
        "utf-8",
        "image/svg+xml",
    )
    assert warnings == ["A letter is missing."]


async def test_numbers_are_drawn_along_the_times():
    result, sketch = await render({"data": ROWS})
    chart = sketch.chart
    assert chart.times
    assert chart.x == [1767225600.0, 1767312000.0]
    assert [(line.name, line.values) for line in chart.lines] == [
        ("sold", [5.0, 7.0]),
        ("spent", [None, 2.5]),
    ]
    assert (result["series"], result["points"]) == (["sold", "spent"], 3)
    assert chart.x_label == "day"


async def test_columns_can_be_chosen():
    _, sketch = await render({"data": ROWS, "x": "city", "y": ["sold"], "chartType": "bar"})
    assert sketch.chart.x == ["Oslo", "Rome"]
    assert (sketch.chart.x_label, sketch.chart.y_label) == ("city", "sold")


async def test_bare_numbers_are_one_line():
    _, sketch = await render({"data": [3, None, 4], "yLabel": "height"})
    assert sketch.chart.lines[0].values == [3.0, None, 4.0]
    assert sketch.chart.x == [1, 2, 3]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"data": []}, "data"),
        ({"data": ROWS, "chartType": "hologram"}, "chartType"),
        ({"data": ROWS, "width": 100_000}, "width"),
        ({"data": ROWS, "y": ["profit"]}, "y"),
        ({"data": ROWS, "x": "when"}, "x"),
        ({"data": [{"city": "Rome"}]}, "y"),
        ({"data": ROWS, "filters": {"city": "Bergen"}}, "filters"),
        ({"data": ROWS, "y": ["city"]}, "y"),
        ({"data": ROWS, "chartType": "pie"}, "y"),
        ({"data": [-1, 2], "chartType": "pie"}, "chartType"),
        ({"data": [1] * 501, "chartType": "bar"}, "chartType"),
        ({"data": [1], "x": "a"}, "parameters"),
        ({"data": [1], "title": "x" * 201}, "title"),
    ],
)
async def test_what_cannot_be_drawn_is_refused_by_name(params, field):
    with pytest.raises(InvalidParameters) as caught:
        await render(params)
    assert field in caught.value.fields[0].field
