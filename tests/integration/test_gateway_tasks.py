"""Tasks over HTTP, from the request to the answer, through the whole tree."""

import asyncio
import json
import re
from uuid import UUID

import pytest

from actors.hosting import Limits
from cartrita.clock import new_id
from tests.support.gateway import MAX_BODY, assert_headers, assert_problem, running_gateway

METRICS = {
    "processingTimeMs",
    "queueTimeMs",
    "retryCount",
    "costUsd",
    "tokensUsed",
    "customMetrics",
}


@pytest.fixture
async def api():
    async with running_gateway() as running:
        yield running


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


@pytest.fixture
async def bob(api):
    return await api.user("bob@example.org")


async def test_answers_with_a_bare_response_once_the_task_has_ended(api, alice):
    answer = await api.run(parameters={"payload": {"a": [1, None, "é"]}}, who=alice)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert_headers(answer)
    body = answer.json()
    assert body.keys() == {"taskId", "status", "result", "metrics", "warnings", "traceId"}
    assert UUID(body["taskId"]).version == 7
    assert body["status"] == "COMPLETED"
    assert body["result"] == {"payload": {"a": [1, None, "é"]}}
    assert body["metrics"].keys() == METRICS
    assert body["warnings"] == []


@pytest.mark.parametrize(
    "payload",
    [None, "\x00", "\U0001f600", -(2**63), 2**64 - 1, 1e308, -0.0, [[]], {"": {"a b": False}}],
)
async def test_a_payload_comes_back_as_it_was(api, alice, payload):
    answer = await api.run(parameters={"payload": payload}, who=alice)

    assert answer.json()["result"] == {"payload": payload}


async def test_the_deepest_body_that_is_taken_comes_back_whole(api, alice):
    deepest = b"[" * 199 + b"]" * 199
    body = b'{"taskType":"system.echo","parameters":{"payload":%s}}' % deepest

    answer = await api.send(body, alice)

    assert answer.status_code == 200
    assert deepest in answer.content


async def test_a_failed_task_was_accepted_and_so_answers_200(api, alice):
    answer = await api.run("bench.fail", who=alice)

    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "FAILED"
    assert body["errorCode"] == "AGENT_ERROR"
    assert body["errorMessage"] == "It could not be done."
    assert body["reason"] == "QUALITY_REJECTED"
    assert body["retryable"] is False
    assert "result" not in body


async def test_every_field_of_a_request_is_taken_in_both_spellings(api, alice):
    camel = {
        "taskType": "bench.shape",
        "parameters": {"itemCount": 2, "mainPart": {"partName": "x"}},
        "priority": 9,
        "timeout": 5000,
        "deadline": "2099-01-01T00:00:00Z",
        "taskId": new_id(),
        "delivery": "AT_MOST_ONCE",
        "sessionId": "s-1",
        "budget": {"maxUsd": 0.5, "maxTokens": 10},
        "preferences": {"qualityLevel": "fast", "costOptimization": True, "streaming": False},
        "preferredAgent": "bench",
        "metadata": {"origin": "test"},
    }
    snake = json.loads(re.sub(r'"(\w+)":', lambda key: f'"{_snake(key[1])}":', json.dumps(camel)))
    snake["task_id"] = new_id()

    for body in (camel, snake):
        answer = await api.http.post("/v3/tasks", json=body, headers=alice)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "COMPLETED"
    record = api.stand.tables.stories[camel["taskId"]][0].data
    assert camel["taskId"] in record
    assert "s-1" in record


def _snake(name):
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


async def test_an_alias_names_the_same_task(api, alice):
    answer = await api.run("bench.old_shape", {"itemCount": 1}, who=alice)

    assert answer.json()["status"] == "COMPLETED"


async def test_continues_the_callers_trace(api, alice):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    answer = await api.run(who=alice, headers={"traceparent": trace})

    assert answer.json()["traceId"] == "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_echoes_the_callers_request_id_and_replaces_one_that_is_none(api, alice):
    kept = await api.run(who=alice, headers={"X-Request-ID": "order-66.a_b"})
    minted = await api.run(who=alice, headers={"X-Request-ID": "no spaces, please"})

    assert kept.headers["x-request-id"] == "order-66.a_b"
    assert minted.headers["x-request-id"] == minted.json()["traceId"]


async def test_an_asynchronous_task_is_accepted_then_found_where_it_says(api, alice):
    answer = await api.run("bench.wait", who=alice, headers={"Prefer": "respond-async"})

    assert answer.status_code == 202
    body = answer.json()
    assert body.keys() == {"taskId", "status", "traceId"}
    assert body["status"] == "PENDING"
    assert answer.headers["location"] == f"/v3/tasks/{body['taskId']}"
    assert answer.headers["preference-applied"] == "respond-async"

    where = answer.headers["location"]
    await asyncio.wait_for(api.stand.latch.started.wait(), 5)
    running = await api.http.get(where, headers=alice)
    assert running.status_code == 200
    assert running.json()["status"] == "RUNNING"

    waiting = asyncio.create_task(api.http.get(f"{where}?wait=10", headers=alice))
    api.stand.latch.released.set()
    ended = (await waiting).json()
    assert ended["status"] == "COMPLETED"
    assert ended["result"] == {"done": True}


async def test_a_task_id_may_be_written_in_capitals(api, alice):
    task_id = (await api.run(who=alice)).json()["taskId"]

    answer = await api.http.get(f"/v3/tasks/{task_id.upper()}", headers=alice)

    assert answer.json()["taskId"] == task_id


async def test_a_look_waits_no_longer_than_it_was_asked_to(api, alice):
    answer = await api.run("bench.wait", who=alice, headers={"Prefer": "respond-async"})

    look = await api.http.get(f"{answer.headers['location']}?wait=0.01", headers=alice)

    assert look.json()["status"] in {"PENDING", "RUNNING"}


async def test_cancels_a_running_task_once(api, alice):
    answer = await api.run("bench.wait", who=alice, headers={"Prefer": "respond-async"})
    where, task_id = answer.headers["location"], answer.json()["taskId"]
    await asyncio.wait_for(api.stand.latch.started.wait(), 5)

    first = await api.http.delete(where, headers=alice)
    ended = await api.http.get(f"{where}?wait=5", headers=alice)
    second = await api.http.delete(where, headers=alice)

    assert first.status_code == 202
    assert first.json() == {"taskId": task_id, "cancelled": True}
    assert ended.json()["status"] == "CANCELLED"
    assert ended.json()["errorCode"] == "TASK_CANCELLED"
    assert second.status_code == 200
    assert second.json() == {"taskId": task_id, "cancelled": False}


async def test_a_task_out_of_time_answers_200_with_its_status(api, alice):
    answer = await api.run("bench.wait", who=alice, timeout=1000)

    assert answer.status_code == 200
    assert answer.json()["status"] == "TIMEOUT"
    assert answer.json()["errorCode"] == "TASK_TIMEOUT"


async def test_what_json_cannot_say_is_null_in_an_answer(api, alice):
    answer = await api.run("bench.infinity", who=alice)

    assert answer.json()["result"] == {"value": None}


async def test_somebody_elses_task_is_not_there(api, alice, bob):
    task_id = (await api.run(who=alice)).json()["taskId"]
    where = f"/v3/tasks/{task_id}"

    for method in ("GET", "DELETE"):
        theirs = await api.http.request(method, where, headers=bob)
        absent = await api.http.request(method, f"/v3/tasks/{new_id()}", headers=bob)
        document = assert_problem(theirs, 404, "AUTHORIZATION_FAILED")
        assert document["reason"] == "NOT_FOUND"
        assert _without_ids(document) == _without_ids(
            assert_problem(absent, 404, "AUTHORIZATION_FAILED")
        )
    taken = await api.run(who=bob, taskId=task_id)
    assert_problem(taken, 404, "AUTHORIZATION_FAILED")
    assert (await api.http.get(where, headers=await api.admin())).status_code == 200


def _without_ids(document):
    text = re.sub("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", json.dumps(document))
    return re.sub("[0-9a-f]{32}", "TRACE", text)


async def test_nobody_works_in_somebody_elses_workspace(api, alice):
    answer = await api.run(who=alice, workspaceId="theirs")

    assert_problem(answer, 404, "AUTHORIZATION_FAILED", "workspaceId")


async def test_the_same_key_gives_the_same_answer_and_runs_once(api, alice):
    headers = {"Idempotency-Key": '"order-1"'}

    first = await api.run(who=alice, headers=headers)
    again = await api.run(who=alice, headers=headers)
    unquoted = await api.run(who=alice, headers={"Idempotency-Key": "order-1"})

    assert first.status_code == again.status_code == unquoted.status_code == 200
    assert first.json() == again.json() == unquoted.json()
    assert len(api.stand.tables.stories) == 1


async def test_two_users_keys_are_different_keys(api, alice, bob):
    headers = {"Idempotency-Key": "1"}

    first = await api.run(who=alice, headers=headers)
    other = await api.run(who=bob, headers=headers)

    assert first.json()["taskId"] != other.json()["taskId"]


async def test_a_key_is_busy_while_its_first_task_runs(api, alice):
    headers = {"Idempotency-Key": "2"}
    first = asyncio.create_task(api.run("bench.wait", who=alice, headers=headers))
    await asyncio.wait_for(api.stand.latch.started.wait(), 5)

    busy = await api.run("bench.wait", who=alice, headers=headers)

    document = assert_problem(busy, 409, "SERVICE_UNAVAILABLE")
    assert document["reason"] == "STILL_RUNNING"
    assert document["retryable"] is True
    assert int(busy.headers["retry-after"]) >= 1
    api.stand.latch.released.set()
    ended = (await first).json()
    replay = await api.run("bench.wait", who=alice, headers=headers)
    assert replay.json() == ended


async def test_a_key_with_another_payload_is_refused(api, alice):
    headers = {"Idempotency-Key": "3"}
    await api.run(who=alice, headers=headers)

    other = await api.run(parameters={"payload": "other"}, who=alice, headers=headers)

    assert assert_problem(other, 422, "INVALID_PARAMETERS")["reason"] == "KEY_REUSED"
    assert len(api.stand.tables.stories) == 1


async def test_a_minted_task_id_makes_a_repeat_the_same_task(api, alice):
    task_id = new_id()

    first = await api.run(who=alice, taskId=task_id)
    again = await api.run(who=alice, taskId=task_id)
    other = await api.run(parameters={"payload": 2}, who=alice, taskId=task_id)

    assert first.json() == again.json()
    assert first.json()["taskId"] == task_id
    assert_problem(other, 422, "INVALID_PARAMETERS")


async def test_a_full_queue_says_when_to_come_back():
    async with running_gateway(Limits(queue=1, concurrency=1)) as api:
        alice = await api.user("alice@example.org")
        later = {"Prefer": "respond-async"}
        for _ in range(2):
            taken = await api.run("bench.wait", who=alice, headers=later)
            assert taken.status_code == 202
            await asyncio.wait_for(api.stand.latch.started.wait(), 5)

        refused = await api.run("bench.wait", who=alice, headers=later)

        document = assert_problem(refused, 503, "QUEUE_FULL")
        assert document["retryable"] is True
        assert int(refused.headers["retry-after"]) >= 1
        assert len(api.stand.tables.stories) == 2


async def test_a_body_of_the_limit_is_taken(api, alice):
    head, tail = b'{"taskType":"system.echo","parameters":{"payload":"', b'"}}'
    text = b"a" * (MAX_BODY - len(head) - len(tail))

    answer = await api.send(head + text + tail, alice)

    assert len(answer.json()["result"]["payload"]) == len(text)
