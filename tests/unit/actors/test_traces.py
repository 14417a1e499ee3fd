"""Traces of tasks that ran through the whole tree."""

import asyncio
import json

import pytest
import structlog

from cartrita.catalog import Catalog
from cartrita.clock import new_id
from cartrita.context import Context
from cartrita.declare import Agent, task
from cartrita.telemetry.log import configure, traceparent
from cartrita.telemetry.request import serving
from cartrita.telemetry.span import Sampling
from cartrita.telemetry.trace import trace_id
from tests.support.collector import collecting, whole
from tests.support.processes import eventually
from tests.support.records import ADA
from tests.support.stage import CATALOG, Said, Say, host_of, request, stage_tree
from tests.support.troupe import Caller

OUTSIDE = "00f067aa0ba902b7"
THEIRS = f"00-4bf92f3577b34da6a3ce929d0e0e4736-{OUTSIDE}-01"


@pytest.fixture
def collector():
    with collecting() as receiver:
        yield receiver


async def traced(stage, receiver, work, sampling=None, catalog=CATALOG):
    """Do some work in a tree, and return what was told of it."""
    tracer = receiver.tracer(sampling)
    async with stage_tree(stage, catalog, tracer=tracer) as tree:
        done = await work(tree)
    await asyncio.to_thread(tracer.close)
    return done


def named(spans):
    return {span.name: span for span in spans}


async def test_a_task_is_one_trace_from_the_door_to_the_models_it_used(stage, collector):
    async def work(tree):
        asked = request("test.spend")
        return await tree.door.submit(asked, ADA, wait=True, traceparent=THEIRS)

    answer = await traced(stage, collector, work)
    ((trace, spans),) = collector.traces().items()
    assert trace == trace_id(THEIRS) == answer["traceId"]
    assert whole(spans, OUTSIDE)
    by_name = named(spans)
    assert set(by_name) == {
        "task test.spend", "door", "journal admit", "queue", "attempt 1", "invoke_agent echo",
        "chat a", "chat b", "journal end",
    }  # fmt: skip
    task, attempt = by_name["task test.spend"], by_name["attempt 1"]
    agent, model = by_name["invoke_agent echo"], by_name["chat a"]
    assert [model.parent, agent.parent, attempt.parent] == [agent.id, attempt.id, task.id]
    assert task.attributes["cartrita.task.id"] == answer["taskId"]
    assert task.attributes["cartrita.cost.usd"] == answer["metrics"]["costUsd"]
    assert model.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "model",
        "gen_ai.request.model": "a",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "cartrita.cost.usd": 0.125,
    }
    assert agent.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert all(task.start <= span.start <= span.end <= task.end for span in spans)
    assert task.resource["service.name"] == "cartrita-mcp"


async def test_without_a_client_s_trace_the_task_begins_one(stage, collector):
    await traced(stage, collector, lambda tree: tree.door.submit(request(), ADA, wait=True))
    (spans,) = collector.traces().values()
    assert whole(spans)
    assert named(spans)["task test.echo"].parent == ""


async def test_what_failed_says_of_what(stage, collector):
    def work(tree):
        return tree.door.submit(request("test.fail", text="NetworkFailure"), ADA, wait=True)

    answer = await traced(stage, collector, work)
    (spans,) = collector.traces().values()
    task = named(spans)["task test.fail"]
    assert task.attributes["error.type"] == answer["errorCode"]
    assert (task.status.code, task.status.message) == (2, answer["errorMessage"])


async def test_a_line_of_the_log_names_the_trace_and_the_task(stage, collector, capsys):
    configure("info", "json")

    def work(tree):
        return tree.door.submit(request("test.fail"), ADA, wait=True, traceparent=THEIRS)

    try:
        answer = await traced(stage, collector, work)
    finally:
        structlog.reset_defaults()
    lines = map(json.loads, capsys.readouterr().err.splitlines())
    (line,) = (one for one in lines if one["event"] == "agent_failed")
    assert (line["trace_id"], line["task"]) == (trace_id(THEIRS), answer["taskId"])


async def test_a_sub_task_belongs_to_the_attempt_that_called_for_it(stage, collector):
    catalog = Catalog.of([*(spec.cls for spec in CATALOG.agents.values()), Caller])

    def work(tree):
        return tree.door.submit(request("call.echo"), ADA, wait=True)

    await traced(stage, collector, work, catalog=catalog)
    (spans,) = collector.traces().values()
    assert whole(spans)
    by_name = named(spans)
    assert by_name["task test.echo"].parent == by_name["invoke_agent caller"].id


async def test_what_an_agent_does_belongs_to_its_attempt_s_span(stage, collector):
    class Looker(Agent, team="system"):
        """Says what it works on."""

        @task("look.up", idempotent=True)
        async def look(self, params: Say, ctx: Context) -> Said:
            """Say which trace calls of others are told."""
            assert ctx.trace == traceparent()
            return Said(text=traceparent())

    catalog = Catalog.of([*(spec.cls for spec in CATALOG.agents.values()), Looker])

    def work(tree):
        return tree.door.submit(request("look.up"), ADA, wait=True, traceparent=THEIRS)

    answer = await traced(stage, collector, work, catalog=catalog)
    (spans,) = collector.traces().values()
    agent = named(spans)["invoke_agent looker"]
    assert answer["result"]["text"] == f"00-{agent.trace}-{agent.id}-01"


async def test_a_repeat_s_trace_goes_on_under_who_asked_last(stage, collector):
    """The gateway that asked first may be dead, and the span of its request with it."""
    first, last = (f"{THEIRS[:36]}{place * 16}-01" for place in "12")
    asked = request("test.hold", task_id=new_id())

    async def work(tree):
        def ask(trace):
            return asyncio.create_task(tree.door.submit(asked, ADA, wait=True, traceparent=trace))

        def asking():
            (cell,) = tree.supervisors["system/0"].supervisor._cells.values()
            return len(cell.waiters)

        waits = [ask(first)]
        await stage.begun()
        waits.append(ask(last))
        assert await eventually(lambda: asking() == 2, 5)
        stage.release.set()
        return await asyncio.gather(*waits)

    await traced(stage, collector, work)
    (spans,) = collector.traces().values()
    assert whole(spans, "2" * 16)


async def test_a_request_whose_gateway_died_is_told_by_the_supervisor(stage, collector):
    async def work(tree):
        serving(lambda: ["POST /v3/tasks", OUTSIDE, 1.0])
        inner = f"{THEIRS[:36]}{'1' * 16}-01"
        asked = tree.door.submit(request("test.hold"), ADA, wait=True, traceparent=inner)
        asking = asyncio.create_task(asked)
        await stage.begun()
        supervisor = tree.supervisors["system/0"].supervisor
        (cell,) = supervisor._cells.values()
        asking.cancel()
        tree.door.close()
        assert await eventually(lambda: cell.trail.asker[0].gone, 5)
        stage.release.set()
        assert await eventually(lambda: not supervisor._cells, 5)

    await traced(stage, collector, work)
    (spans,) = collector.traces().values()
    assert whole(spans, OUTSIDE)
    asked = named(spans)["POST /v3/tasks"]
    assert (asked.id, asked.attributes["error.type"]) == ("1" * 16, "gateway_died")


async def test_every_attempt_of_a_task_whose_hosts_died_is_told(stage, collector):
    async def work(tree):
        asked = asyncio.create_task(tree.door.submit(request("test.hold"), ADA, wait=True))
        await stage.begun()
        await host_of(tree, "echo").kill()
        await stage.begun()
        stage.release.set()
        return await asked

    await traced(stage, collector, work)
    (spans,) = collector.traces().values()
    assert whole(spans)
    by_name = named(spans)
    assert by_name["attempt 1"].attributes["error.type"] == "lost"
    assert by_name["attempt 2"].status.code == 0
    assert by_name["attempt 1"].end <= by_name["attempt 2"].start


async def test_a_thousand_traces_are_whole_though_hosts_and_supervisors_die(stage, collector):
    async def work(tree):
        async def kill_host():
            await host_of(tree, "echo").kill()

        kills = {100: kill_host, 300: tree.supervisors["system/0"].kill, 600: kill_host}
        stage.release.set()
        tasks = [
            tree.door.submit(
                request("test.hold" if number % 3 else "test.spend", text=str(number)),
                ADA,
                wait=True,
            )
            for number in range(1000)
        ]
        answers = []
        for number, ended in enumerate(asyncio.as_completed(tasks)):
            answers.append(await ended)
            if number in kills:
                await kills[number]()
        return answers

    answers = await traced(stage, collector, work)
    traces = collector.traces()
    told = [answer for answer in answers if whole(traces.get(answer["traceId"], []))]
    assert len(told) > 990
    assert sum(answer["metrics"]["retryCount"] for answer in answers) > 0


@pytest.mark.parametrize(("kind", "count"), [("test.fail", 20), ("test.echo", 0)])
async def test_of_what_is_not_picked_only_what_failed_is_told(stage, collector, kind, count):
    async def work(tree):
        asked = request(kind, text="AgentFailed")
        await asyncio.gather(*(tree.door.submit(asked, ADA, wait=True) for _ in range(20)))

    await traced(stage, collector, work, Sampling(ratio=0.0))
    traces = collector.traces()
    assert len(traces) == count
    assert all(map(whole, traces.values()))


async def test_what_called_for_something_that_failed_is_told_with_it(stage, collector):
    catalog = Catalog.of([*(spec.cls for spec in CATALOG.agents.values()), Caller])

    def work(tree):
        return tree.door.submit(request("call.task", text="test.fail"), ADA, wait=True)

    answer = await traced(stage, collector, work, Sampling(ratio=0.0), catalog)
    assert answer["status"] == "COMPLETED"
    (spans,) = collector.traces().values()
    assert whole(spans)
    assert {"task call.task", "task test.fail"} <= set(named(spans))


async def test_what_was_slow_is_told_too(stage, collector):
    sampling = Sampling(ratio=0.0, slow=0.0)
    work = lambda tree: tree.door.submit(request(), ADA, wait=True)  # noqa: E731
    await traced(stage, collector, work, sampling)
    (spans,) = collector.traces().values()
    assert whole(spans)


async def test_what_a_dead_supervisor_had_not_sent_its_successor_tells(stage, collector):
    untold = collector.tracer()
    untold.tell = lambda _telling, *, special=False: None  # it dies with what it had to tell
    tracer = collector.tracer()

    async with stage_tree(stage, tracer=untold) as tree:
        kinds = ["test.echo", "test.spend", "test.fail"]
        asked = [request(kind, text="AgentFailed") for kind in kinds]
        answers = [await tree.door.submit(one, ADA, wait=True) for one in asked]
        tree._tracer = tracer
        before = tree.supervisors["system/0"]
        await before.kill()
        assert await eventually(lambda: tree.supervisors["system/0"] is not before, 10)
        assert (await tree.door.submit(request(), ADA, wait=True))["status"] == "COMPLETED"
        retelling = tree.supervisors["system/0"].supervisor._tracking._retelling
        await asyncio.wait_for(retelling, 10)
    await asyncio.to_thread(tracer.close)

    traces = collector.traces()
    assert len(traces) == 4
    assert all(map(whole, traces.values()))
    told = [named(traces[answer["traceId"]]) for answer in answers]
    assert [set(spans) & {"chat a", "attempt 1"} for spans in told] == [
        {"attempt 1"}, {"chat a", "attempt 1"}, {"chat a", "attempt 1"},
    ]  # fmt: skip
    assert told[2]["attempt 1"].attributes["error.type"] == "AGENT_ERROR"
