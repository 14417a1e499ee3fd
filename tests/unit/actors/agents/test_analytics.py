"""Tests of actors/agents/analytics.py."""

import pytest

from actors.agents.analytics import Analytics
from cartrita.clock import ManualClock
from cartrita.errors import AgentFailed, InvalidParameters, ModelRequired, Reason
from cartrita.providers.chat_models import chat_models
from cartrita.providers.ports import ChatModels, Rows, SqlEngine
from cartrita.testing import run_task
from tests.support.scripted_model import ScriptedModels, said

QUERY, ASK = "analytics.run_query", "analytics.data.query"
SALES = [{"city": "Rome", "amount": 5}, {"city": "Oslo", "amount": 7}]


class Recorder:
    """An engine that remembers what it was asked and answers with two rows.

    It refuses what has `nonsense` in it.
    """

    def __init__(self):
        self.asked = None

    async def query(self, sql, tables, *, max_rows, timeout):
        self.asked = (sql, tables, max_rows, timeout)
        if "nonsense" in sql:
            raise InvalidParameters("there is no nonsense here")
        return Rows(("a", "b"), ((1, None), (2, {"c": None})), truncated=True)


@pytest.fixture
def engine():
    return Recorder()


async def run(engine, params, models=None, task=QUERY, **context):
    providers = {SqlEngine: engine, ChatModels: models or chat_models()}
    return (await run_task(Analytics, task, params, providers, **context)).to_wire()


async def ask(engine, params, *script, **context):
    models = ScriptedModels(*map(said, script)) if script else None
    return await run(engine, params, models, ASK, **context), models


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


async def test_sql_is_run_as_it_is(engine):
    result, _ = await ask(engine, {"query": "SELECT 1", "data": SALES}, "never asked")
    assert (result["sql"], result["understood"]) == ("SELECT 1", "sql")
    assert (result["model"], result["rows"][0]) == ("local/duckdb", [1, None])


async def test_a_simple_question_needs_no_model_and_shows_its_sql(engine):
    result, _ = await ask(engine, {"query": "total amount by city", "data": SALES})
    assert result["understood"] == "template"
    assert result["sql"] == engine.asked[0]
    assert engine.asked[0].startswith('SELECT "city", sum("amount")')


async def test_another_question_is_refused_without_a_model(engine):
    with pytest.raises(ModelRequired, match="OPENAI_API_KEY"):
        await ask(engine, {"query": "Why is Oslo ahead?", "data": SALES})
    assert engine.asked is None


async def test_a_model_puts_a_question_into_sql(engine):
    params = {"query": "Who leads?", "data": SALES}
    result, models = await ask(engine, params, "```sql\nSELECT 7\n```")
    assert (result["sql"], result["understood"], result["model"]) == (
        "SELECT 7",
        "model",
        "fake/writer",
    )
    assert "Who leads?" in models.model.asked[0][0][1].text


async def test_sql_that_the_engine_refuses_is_written_again(engine):
    params = {"query": "Who leads?", "data": SALES}
    result, models = await ask(engine, params, "SELECT nonsense", "SELECT 7")
    assert result["sql"] == "SELECT 7"
    assert "no nonsense here" in models.model.asked[1][0][-1].text


async def test_a_model_that_only_talks_nonsense_is_not_the_caller_s_fault(engine):
    with pytest.raises(AgentFailed, match="no nonsense here") as caught:
        await ask(engine, {"query": "Who leads?", "data": SALES}, "SELECT nonsense")
    assert caught.value.reason == Reason.QUALITY_REJECTED


async def test_filters_and_the_source_choose_the_rows(engine):
    data = {"sales": SALES, "costs": [{"city": "Rome"}]}
    params = {"query": "SELECT 1", "data": data, "filters": {"amount": {"min": 6}}}
    await ask(engine, params)
    assert engine.asked[1] == {"sales": SALES[1:], "costs": [{"city": "Rome"}]}
    await ask(engine, params | {"source": "sales"})
    assert engine.asked[1] == {"sales": SALES[1:]}


@pytest.mark.parametrize(
    ("more", "field"),
    [({"source": "profits"}, "source"), ({"filters": {"price": 5}}, "filters.price")],
)
async def test_what_the_data_do_not_have_is_refused_by_name(engine, more, field):
    with pytest.raises(InvalidParameters) as caught:
        await ask(engine, {"query": "SELECT 1", "data": SALES} | more)
    assert field in caught.value.fields[0].field
