"""Tests of actors/agents/analytics.py."""

import pytest

from actors.agents.analytics import Analytics
from cartrita.clock import ManualClock
from cartrita.errors import InvalidParameters
from cartrita.providers.ports import Rows, SqlEngine
from cartrita.testing import run_task

QUERY = "analytics.run_query"


class Recorder:
    """An engine that remembers what it was asked and answers with two rows."""

    def __init__(self):
        self.asked = None

    async def query(self, sql, tables, *, max_rows, timeout):
        self.asked = (sql, tables, max_rows, timeout)
        return Rows(("a", "b"), ((1, None), (2, {"c": None})), truncated=True)


@pytest.fixture
def engine():
    return Recorder()


async def run(engine, params, **context):
    return (await run_task(Analytics, QUERY, params, {SqlEngine: engine}, **context)).to_wire()


async def test_the_result_has_columns_and_rows_with_their_nulls(engine):
    result = await run(engine, {"query": "SELECT 1", "data": [{"x": 1}]})
    assert result == {
        "columns": ["a", "b"],
        "rows": [[1, None], [2, {"c": None}]],
        "rowCount": 2,
        "truncated": True,
    }


async def test_bare_rows_are_the_table_data_and_named_ones_keep_their_names(engine):
    await run(engine, {"query": "SELECT 1", "data": [{"x": 1}]})
    assert engine.asked[1] == {"data": [{"x": 1}]}
    await run(engine, {"query": "SELECT 1", "data": {"a": [{"x": 1}], "b": []}})
    assert engine.asked[1] == {"a": [{"x": 1}], "b": []}


async def test_the_engine_gets_the_row_limit_and_the_time_that_is_left(engine):
    clock = ManualClock(100.0)
    params = {"query": "SELECT 1", "data": [{"x": 1}], "maxRows": 7}
    await run(engine, params, clock=clock, deadline=112.5)
    assert engine.asked[2:] == (7, 12.5)


async def test_every_value_that_came_in_is_a_data_point(engine):
    measures = {}
    data = {"a": [{"x": 1, "y": 2}, {"x": 1}], "b": [{"z": None}]}
    await run(engine, {"query": "SELECT 1", "data": data}, measures=measures)
    assert measures == {"dataPointsProcessed": 4}


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"data": []}, "query"),
        ({"query": " ", "data": []}, "query"),
        ({"query": "x" * 20_001, "data": []}, "query"),
        ({"query": "SELECT 1"}, "data"),
        ({"query": "SELECT 1", "data": [1]}, "data"),
        ({"query": "SELECT 1", "data": [], "maxRows": 0}, "maxRows"),
        ({"query": "SELECT 1", "data": [], "maxRows": 10_001}, "maxRows"),
        ({"query": "SELECT 1", "data": [], "source": "database"}, "source"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(engine, params, field):
    with pytest.raises(InvalidParameters) as caught:
        await run(engine, params)
    assert field in caught.value.fields[0].field
    assert engine.asked is None
