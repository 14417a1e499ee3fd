"""Tests of actors/agents/data.py."""

import pytest

from actors.agents.data import CITIES, Data
from cartrita.errors import InvalidParameters
from cartrita.testing import run_task

REPORT, ANALYZE, PROCESS = "analytics.report.generate", "data.analyze", "data.process"


async def run(task, params, **context):
    return (await run_task(Data, task, params, **context)).to_wire()


async def test_examples_run():
    for spec in Data.spec.tasks:
        assert await run(spec.name, spec.example)


@pytest.mark.parametrize(
    ("form", "beginning"), [("markdown", "# Sales\n"), ("html", "<!doctype html>")]
)
async def test_a_report_comes_as_text_beside_its_sections(form, beginning):
    params = {"data": CITIES, "title": "Sales", "format": form, "groupBy": "city"}
    result = await run(REPORT, params)
    assert result["content"].startswith(beginning)
    assert "Rome" in result["content"]
    headings = [section["heading"] for section in result["sections"]]
    assert headings == ["Overview", "Figures", "By city"]


async def test_a_report_in_json_has_no_text():
    assert "content" not in await run(REPORT, {"data": CITIES})


async def test_a_report_is_about_the_rows_that_fit():
    params = {
        "data": CITIES,
        "dateRange": {"min": "2026-03-02"},
        "filters": {"city": "Oslo"},
        "reportType": "trend",
    }
    with pytest.raises(InvalidParameters, match="3 numbers"):
        await run(REPORT, params)
    assert (await run(REPORT, params | {"reportType": "summary"}))["rows"] == 2


async def test_data_are_described():
    result = await run(ANALYZE, {"data": [*CITIES, {"city": "Rome"}]})
    kinds = {column["name"]: column["kind"] for column in result["columns"]}
    assert kinds == {"day": "time", "city": "text", "amount": "number"}
    assert result["columns"][2]["missing"] == 1
    assert result["columns"][0]["span"] == ["2026-03-01", "2026-03-05"]


async def test_rows_go_through_their_steps():
    (example,) = [spec.example for spec in Data.spec.tasks if spec.name == PROCESS]
    result = await run(PROCESS, example)
    assert result["data"] == [{"city": "Rome", "total": 35.0}, {"city": "Oslo", "total": 32}]
    assert (result["rowCount"], result["columns"]) == (2, ["city", "total"])


@pytest.mark.parametrize(
    ("task", "params", "field"),
    [
        (REPORT, {"data": []}, "data"),
        (REPORT, {"data": CITIES, "format": "pdf"}, "format"),
        (REPORT, {"data": CITIES, "groupBy": "country"}, "groupBy"),
        (REPORT, {"data": [{"a": 1}], "dateRange": {"min": "2026-01-01"}}, "timeColumn"),
        (ANALYZE, {"data": CITIES, "filters": {"country": "x"}}, "filters"),
        (PROCESS, {"data": CITIES, "steps": []}, "steps"),
        (PROCESS, {"data": CITIES, "steps": [{"op": "drop", "columns": ["x"]}]}, "steps.0"),
        (PROCESS, {"data": CITIES, "steps": [{"op": "explode"}]}, "steps.0"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(task, params, field):
    with pytest.raises(InvalidParameters) as caught:
        await run(task, params)
    assert field in caught.value.fields[0].field
