"""One trace from a client's own span to what an agent used, over the gateway and the tree."""

import asyncio

import pytest

from cartrita.clock import SystemClock
from serve_apps.asgi.visits import Visits
from tests.support.api_server import short_folder
from tests.support.collector import collecting, whole
from tests.support.gateway import Stand, spoken_to

OUTSIDE = "00f067aa0ba902b7"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
THEIRS = {"traceparent": f"00-{TRACE}-{OUTSIDE}-01"}


@pytest.fixture
async def told():
    """Give a way to ask a traced gateway, which returns the answer and the trace's spans."""
    with collecting() as receiver:

        async def ask(work):
            tracer = receiver.tracer()
            with short_folder() as folder:
                stand = Stand(folder, tracer=tracer)
                async with spoken_to(stand, visits=Visits(tracer, SystemClock())) as api:
                    answer = await work(api, await api.user("alice@example.org"))
            await asyncio.to_thread(tracer.close)
            return answer, receiver.traces()

        yield ask


async def test_a_client_s_span_a_request_s_a_task_s_and_its_parts_are_one_tree(told):
    answer, traces = await told(lambda api, who: api.run("busy.work", who=who, headers=THEIRS))
    spans = traces[TRACE]
    assert whole(spans, OUTSIDE)
    by_name = {span.name: span for span in spans}
    request, task = by_name["POST /v3/tasks"], by_name["task busy.work"]
    agent = by_name["invoke_agent busy"]
    assert (request.parent, task.parent) == (OUTSIDE, request.id)
    assert by_name["chat a"].parent == by_name["execute_tool calculator"].parent == agent.id
    assert by_name["task system.echo"].parent == agent.id
    assert answer.json()["traceId"] == TRACE
    assert answer.headers["traceparent"] == f"00-{TRACE}-{request.id}-01"


async def test_tasks_of_a_batch_are_parts_of_one_trace(told):
    tasks = [{"taskType": "system.echo", "parameters": {"payload": place}} for place in range(5)]

    async def work(api, who):
        answer = await api.http.post(
            "/v3/tasks/batch", json={"tasks": tasks}, headers={**who, **THEIRS}
        )
        for one in answer.json()["results"]:
            await api.http.get(f"/v3/tasks/{one['taskId']}?wait=5", headers=who)
        return answer

    _, traces = await told(work)
    assert whole(traces[TRACE], OUTSIDE)
    assert sum(span.name == "task system.echo" for span in traces[TRACE]) == 5


async def test_a_refusal_is_traced_and_says_so(told):
    answer, traces = await told(lambda api, who: api.run("no.such", {}, who=who, headers=THEIRS))
    assert answer.json()["traceId"] == TRACE
    (span,) = traces[TRACE]
    assert span.attributes["http.response.status_code"] == 400
