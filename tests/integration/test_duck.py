"""Tests of cartrita/providers/embedded/duck.py with its processes, and of their limits."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from actors.agents.analytics import Analytics
from cartrita.errors import InvalidParameters, ResourceLimitExceeded, TaskTimeout
from cartrita.providers.chat_models import chat_models
from cartrita.providers.embedded.duck import DuckDb
from cartrita.providers.ports import ChatModels, Rows, SqlEngine
from cartrita.testing import run_task

DATA = {"data": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]}
FOR_EVER = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t"


@pytest.fixture(scope="module")
def engine():
    engine = DuckDb()
    yield engine
    engine.close()


async def ask(engine, sql, timeout=20.0, max_rows=100):
    return await engine.query(sql, DATA, max_rows=max_rows, timeout=timeout)


def children():
    """Return the processes that run SQL for this one."""
    path = Path(f"/proc/{os.getpid()}/task")
    pids = {int(pid) for task in path.iterdir() for pid in (task / "children").read_text().split()}
    return {pid for pid in pids if _runs_sql(pid)}


def _runs_sql(pid):
    try:
        return b"sqlchild" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # it ended since it was listed
        return False


def proc(pid, file):
    return Path(f"/proc/{pid}/{file}").read_text()


async def until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_query_finds_its_rows(engine):
    found = await ask(engine, "SELECT b, a * 2 AS twice FROM data ORDER BY a DESC", max_rows=1)
    assert found == Rows(columns=("b", "twice"), rows=(("y", 4),), truncated=True)


async def test_the_process_stays_for_the_next_query(engine):
    await ask(engine, "SELECT 1")
    before = children()
    await ask(engine, "SELECT 1")
    assert len(before) == 1
    assert children() == before


async def test_a_mistake_names_the_query_with_the_engine_s_words(engine):
    with pytest.raises(InvalidParameters, match='"nope" not found') as caught:
        await ask(engine, "SELECT nope FROM data")
    assert caught.value.fields[0].field == "query"


@pytest.mark.parametrize(
    "sql",
    [
        FOR_EVER,
        "SELECT count(*) FROM range(10000000) a, range(10000000) b",
        "SELECT rpad('', 2000000000, 'ab')[1]",
    ],
)
async def test_a_query_that_does_not_end_is_ended_with_its_process(engine, sql):
    started = time.monotonic()
    with pytest.raises(TaskTimeout, match="within 1 s"):
        await ask(engine, sql, timeout=1.0)
    assert time.monotonic() - started < 3
    await until(lambda: not children())


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT length(repeat('x', 1000000000) || repeat('y', 1000000000))",
        "SELECT list(a || b) FROM range(100000) x(a), range(100000) y(b)",
        "SELECT a FROM range(100000000) x(a) ORDER BY md5(a::VARCHAR)",
        "SELECT printf('%1000000000d', 1)[1]",
        "SELECT string_agg(a::VARCHAR, ',') FROM range(1000000000) x(a)",
        "WITH RECURSIVE t(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM t) SELECT max(s) FROM t",
        "SELECT repeat('x', 9000000)",
    ],
)
async def test_a_query_that_wants_too_much_memory_is_refused_it(engine, sql):
    with pytest.raises(ResourceLimitExceeded, match="ask for less"):
        await ask(engine, sql)
    for pid in children():
        peak = int(proc(pid, "status").split("VmHWM:")[1].split()[0])
        assert peak < 1_000_000  # kB


async def test_cancelling_ends_the_process_within_a_second(engine):
    engine.close()  # so that the only process is the one to end
    task = asyncio.create_task(ask(engine, FOR_EVER))
    await until(children)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not children(), 1.0)


async def test_a_process_that_died_is_replaced(engine):
    await ask(engine, "SELECT 1")
    (pid,) = children()
    os.kill(pid, 9)
    with pytest.raises(ResourceLimitExceeded):
        await ask(engine, "SELECT 1")
    assert (await ask(engine, "SELECT 1")).rows == ((1,),)


async def test_at_most_two_run_and_the_third_waits(engine):
    tasks = [asyncio.create_task(ask(engine, FOR_EVER, timeout=1.5)) for _ in range(3)]
    await until(lambda: len(children()) == 2)
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in ended] == [TaskTimeout] * 3


async def test_the_process_has_no_environment_and_cannot_outlive_its_query_for_long(engine):
    await ask(engine, "SELECT 1", timeout=3.0)
    (pid,) = children()
    assert proc(pid, "environ") == "MALLOC_ARENA_MAX=1\0"
    limits = proc(pid, "limits")
    assert int(limits.split("Max cpu time")[1].split()[0]) < 60
    assert limits.split("Max file size")[1].split()[0] == "0"


async def test_closing_leaves_no_process():
    engine = DuckDb()
    await ask(engine, "SELECT 1")
    before = children()
    engine.close()
    assert len(children()) < len(before)


async def test_the_example_of_the_task_runs(engine):
    spec, measures = Analytics.spec.tasks[0], {}
    providers = {SqlEngine: engine, ChatModels: chat_models()}
    result = await run_task(Analytics, spec.name, spec.example, providers, measures=measures)
    assert result.to_wire() == {
        "columns": ["city", "total"],
        "rows": [["Rome", 20.0], ["Oslo", 30.0]],
        "rowCount": 2,
        "truncated": False,
    }
    assert measures == {"dataPointsProcessed": 6}
