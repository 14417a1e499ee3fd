"""Many tasks at once, lists of tasks, and waiting for as long as one likes."""

import json

import pytest

from cartrita.clock import new_id
from serve_apps.gateway.batch import MOST_TASKS
from tests.support.gateway import assert_problem, running_gateway

ECHO = {"taskType": "system.echo", "parameters": {"payload": 1}}
WAIT = {"taskType": "bench.wait", "parameters": {}}


@pytest.fixture
async def api():
    async with running_gateway() as running:
        yield running
        running.stand.latch.released.set()


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


async def batch(api, who, *tasks, **headers):
    told = {**who, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await api.http.post("/v3/tasks/batch", json={"tasks": tasks}, headers=told)


async def page(api, who, **asked):
    answer = await api.http.get("/v3/tasks", params=asked, headers=who)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ids(api, who, **asked):
    return [task["taskId"] for task in (await page(api, who, **asked))["tasks"]]


class TestBatch:
    async def test_each_task_gets_a_verdict_in_order(self, api, alice):
        minted = new_id()
        bad = {"taskType": "bench.shape", "parameters": {"itemCount": 0}}

        answer = await batch(
            api, alice, ECHO, bad, {**ECHO, "taskId": minted}, {"taskType": "?"}, 7
        )

        assert answer.status_code == 200
        body = answer.json()
        assert (body["accepted"], body["refused"]) == (2, 3)
        verdicts = body["results"]
        assert [verdict["accepted"] for verdict in verdicts] == [True, False, True, False, False]
        assert verdicts[2]["taskId"] == minted
        problem = verdicts[1]["problem"]
        assert (problem["status"], problem["code"]) == (422, "INVALID_PARAMETERS")
        assert problem["errors"][0]["field"] == "parameters.itemCount"
        assert {verdict["problem"]["traceId"] for verdict in verdicts if "problem" in verdict} == {
            body["traceId"]
        }
        done = await api.http.get(f"/v3/tasks/{minted}", params={"wait": 10}, headers=alice)
        assert done.json()["status"] == "COMPLETED"

    async def test_no_task_is_waited_for(self, api, alice):
        answer = await batch(api, alice, WAIT, WAIT)

        assert [verdict["status"] for verdict in answer.json()["results"]] == ["PENDING"] * 2

    async def test_a_repeat_with_the_same_ids_is_the_same_tasks(self, api, alice):
        tasks = [{**WAIT, "taskId": new_id()} for _ in range(3)]

        first, second = await batch(api, alice, *tasks), await batch(api, alice, *tasks)

        assert first.json()["results"] == second.json()["results"]
        assert len(await ids(api, alice)) == 3

    async def test_a_repeat_with_the_same_key_makes_no_new_tasks(self, api, alice):
        first = await batch(api, alice, ECHO, ECHO, idempotency_key="k")
        made = [verdict["taskId"] for verdict in first.json()["results"]]
        for task_id in made:
            await api.http.get(f"/v3/tasks/{task_id}", params={"wait": 10}, headers=alice)

        second = await batch(api, alice, ECHO, ECHO, idempotency_key="k")

        assert [verdict["taskId"] for verdict in second.json()["results"]] == made
        assert len(await ids(api, alice)) == 2

    async def test_a_thousand_are_taken_and_not_one_more(self, api, alice):
        tiny = {"taskType": "bench.fail", "parameters": {}}

        assert (await batch(api, alice, *[tiny] * MOST_TASKS)).json()["results"]
        assert_problem(
            await batch(api, alice, *[tiny] * (MOST_TASKS + 1)), 422, "INVALID_PARAMETERS", "tasks"
        )
        assert_problem(await batch(api, alice), 422, "INVALID_PARAMETERS", "tasks")

    async def test_a_batch_needs_to_know_who_asks(self, api):
        assert_problem(await batch(api, {}, ECHO), 401, "AUTHENTICATION_FAILED")


class TestList:
    async def test_one_sees_one_s_own_and_an_administrator_all(self, api, alice):
        bob, admin = await api.user("bob@example.org"), await api.admin()
        mine = (await api.run(who=alice)).json()["taskId"]
        his = (await api.run(who=bob)).json()["taskId"]

        assert await ids(api, alice) == [mine]
        assert await ids(api, bob) == [his]
        assert await ids(api, admin) == [his, mine]
        (row,) = (await page(api, bob))["tasks"]
        assert await ids(api, admin, user=row["user"]) == [his]
        assert await ids(api, bob, user=row["user"]) == [his]
        others = await api.http.get("/v3/tasks", params={"user": row["user"]}, headers=alice)
        assert_problem(others, 403, "AUTHORIZATION_FAILED", "user")

    async def test_pages_follow_each_other(self, api, alice):
        made = [(await api.run(who=alice)).json()["taskId"] for _ in range(5)]

        found, after = [], {}
        while after is not None:
            told = await page(api, alice, limit=2, **after)
            found += [task["taskId"] for task in told["tasks"]]
            after = {"cursor": told["next"]} if told["next"] else None

        assert found == made[::-1]

    async def test_filters_go_together(self, api, alice):
        done = (await api.run(who=alice, sessionId="talk")).json()
        failed = (await api.run("bench.fail", who=alice)).json()

        assert await ids(api, alice, sessionId="talk") == [done["taskId"]]
        assert await ids(api, alice, status="FAILED,TIMEOUT") == [failed["taskId"]]
        assert await ids(api, alice, status=["FAILED", "COMPLETED"], taskType="system.echo") == [
            done["taskId"]
        ]
        assert await ids(api, alice, since="2099-01-01T00:00:00Z") == []
        assert len(await ids(api, alice, since="2020-01-01T00:00:00+02:00")) == 2
        assert await ids(api, alice, until="2020-01-01T00:00:00Z") == []
        assert len(await ids(api, alice, until="2099-01-01T00:00:00Z")) == 2
        (row,) = (await page(api, alice, status="FAILED"))["tasks"]
        assert (row["errorCode"], row["reason"]) == ("AGENT_ERROR", "QUALITY_REJECTED")
        assert row["finishedAt"] >= row["acceptedAt"]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("status", "DONE"),
            ("status", ""),
            ("since", "yesterday"),
            ("since", "2026-01-01T00:00:00"),
            ("until", "tomorrow"),
            ("user", ""),
            ("cursor", "next"),
            ("cursor", "99999999999999.5_01920000-0000-7000-8000-00000000dead"),
            ("limit", "0"),
            ("sessionId", "a\x00b"),
            ("taskType", ""),
        ],
    )
    async def test_a_wrong_filter_is_named(self, api, alice, field, value):
        answer = await api.http.get("/v3/tasks", params={field: value}, headers=alice)

        assert_problem(answer, 422, "INVALID_PARAMETERS", field)


class TestWait:
    async def test_who_waits_long_enough_gets_the_end(self, api, alice):
        answer = await api.http.post("/v3/tasks", params={"wait": 10}, json=ECHO, headers=alice)

        assert (answer.status_code, answer.json()["status"]) == (200, "COMPLETED")

    @pytest.mark.parametrize(
        ("query", "headers"),
        [({"wait": 0.01}, {}), ({"wait": 0}, {}), ({}, {"Prefer": "respond-async, wait=0"})],
    )
    async def test_who_does_not_is_told_where_to_look(self, api, alice, query, headers):
        answer = await api.http.post(
            "/v3/tasks", params=query, json=WAIT, headers={**alice, **headers}
        )

        assert answer.status_code == 202
        body = answer.json()
        assert answer.headers["location"] == f"/v3/tasks/{body['taskId']}"
        assert body["status"] in {"PENDING", "RUNNING"}
        assert body["traceId"]

    async def test_a_preference_for_a_wait_is_followed(self, api, alice):
        answer = await api.http.post(
            "/v3/tasks", json=ECHO, headers={**alice, "Prefer": "respond-async, wait=10"}
        )

        assert answer.status_code == 200

    async def test_nobody_waits_for_ever(self, api, alice):
        answer = await api.http.post("/v3/tasks", params={"wait": 61}, json=ECHO, headers=alice)

        assert_problem(answer, 422, "INVALID_PARAMETERS", "wait")


async def test_the_collection_says_what_it_offers(api, alice):
    answer = await api.http.put("/v3/tasks", content=json.dumps(ECHO), headers=alice)

    assert answer.status_code == 405
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_the_batch_is_no_task_whose_id_is_batch(api, alice, method):
    answer = await api.http.request(method, "/v3/tasks/batch", headers=alice)

    assert_problem(answer, 405, "INVALID_MESSAGE_FORMAT")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("told", ["1e-05", "1E0", "0.1e1"])
async def test_a_wait_is_any_number_as_json_has_it(api, alice, told):
    answer = await api.http.post("/v3/tasks", params={"wait": told}, json=ECHO, headers=alice)

    assert answer.status_code in {200, 202}
