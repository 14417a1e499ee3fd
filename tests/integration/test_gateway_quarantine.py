"""Quarantined tasks over HTTP: owners see and settle theirs, administrators all."""

import pytest

from cartrita.clock import new_id
from tests.support.gateway import assert_headers, assert_problem, running_gateway

URL = "/v3/quarantine"


@pytest.fixture
async def api():
    async with running_gateway() as running:
        yield running


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


@pytest.fixture
async def ward(api, alice):
    """Give the quarantine, and who Alice is there."""
    me = (await api.http.get("/auth/me", headers=alice)).json()["id"]
    api.stand.ward.alice = me
    return api.stand.ward


async def test_owners_see_theirs_and_administrators_all(api, alice, ward):
    hers, others = ward.admit(ward.alice), ward.admit("somebody")

    mine = await api.http.get(URL, headers=alice)
    all_of_them = await api.http.get(URL, headers=await api.admin())

    assert mine.status_code == 200
    assert_headers(mine)
    assert [row["taskId"] for row in mine.json()["tasks"]] == [hers]
    assert mine.json()["next"] is None
    assert [row["taskId"] for row in all_of_them.json()["tasks"]] == [others, hers]


async def test_a_long_list_comes_in_pages(api, alice, ward):
    tasks = [ward.admit(ward.alice) for _ in range(5)][::-1]
    seen, after = [], ""

    while after is not None:
        page = (await api.http.get(f"{URL}?limit=2{after}", headers=alice)).json()
        seen.append([row["taskId"] for row in page["tasks"]])
        after = page["next"] and f"&before={page['next']}"

    assert seen == [tasks[:2], tasks[2:4], tasks[4:]]


async def test_a_task_can_be_inspected(api, alice, ward):
    hers = ward.admit(ward.alice)

    found = (await api.http.get(f"{URL}/{hers}", headers=alice)).json()

    assert found["parameters"] == {"payload": 1}
    assert found["story"][0]["type"] == "accepted"


@pytest.mark.parametrize(
    ("body", "payload"),
    [(None, 1), ({}, 1), ({"parameters": None}, 1), ({"parameters": {"payload": 2}}, 2)],
)
async def test_a_retry_is_a_new_task(api, alice, ward, body, payload):
    hers = ward.admit(ward.alice)
    said = {} if body is None else {"json": body}

    answer = await api.http.post(f"{URL}/{hers}/retry", headers=alice, **said)

    assert answer.status_code == 202
    assert answer.json()["retryOf"] == hers
    assert answer.headers["location"] == f"/v3/tasks/{answer.json()['taskId']}"
    task = await api.http.get(answer.headers["location"] + "?wait=5", headers=alice)
    assert task.json()["result"] == {"payload": payload}
    again = await api.http.post(f"{URL}/{hers}/retry", headers=alice)
    assert_problem(again, 422, "INVALID_PARAMETERS")


async def test_a_task_is_discarded_once(api, alice, ward):
    hers = ward.admit(ward.alice)

    first = await api.http.delete(f"{URL}/{hers}", headers=alice)
    second = await api.http.delete(f"{URL}/{hers}", headers=alice)

    assert (first.status_code, first.json()) == (200, {"taskId": hers, "discarded": True})
    assert second.json() == {"taskId": hers, "discarded": False}
    assert (await api.http.get(URL, headers=alice)).json()["tasks"] == []


async def test_what_is_somebody_elses_is_not_found(api, alice, ward):
    theirs = ward.admit("somebody")

    for task_id in (theirs, new_id()):
        for ask in (
            api.http.get(f"{URL}/{task_id}", headers=alice),
            api.http.delete(f"{URL}/{task_id}", headers=alice),
            api.http.post(f"{URL}/{task_id}/retry", headers=alice),
        ):
            assert_problem(await ask, 404, "AUTHORIZATION_FAILED")
    assert ward.rows[0]["settled"] is None


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1.5", "", "9999"])
async def test_refuses_a_wrong_limit(api, alice, limit):
    answer = await api.http.get(f"{URL}?limit={limit}", headers=alice)
    assert_problem(answer, 422, "INVALID_PARAMETERS", "limit")


async def test_refuses_what_names_no_task(api, alice):
    answer = await api.http.get(f"{URL}?before=first", headers=alice)
    assert_problem(answer, 422, "INVALID_PARAMETERS", "before")
    answer = await api.http.get(f"{URL}/first", headers=alice)
    assert_problem(answer, 422, "INVALID_PARAMETERS", "taskId")


async def test_refuses_other_fields_by_name(api, alice, ward):
    hers = ward.admit(ward.alice)
    answer = await api.http.post(f"{URL}/{hers}/retry", headers=alice, json={"priority": 1})
    assert_problem(answer, 422, "INVALID_PARAMETERS", "priority")
    assert ward.rows[0]["settled"] is None


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "/x"), ("DELETE", "/x"), ("POST", "/x/retry")],
)
async def test_needs_a_token(api, method, path):
    assert_problem(await api.http.request(method, URL + path), 401, "AUTHENTICATION_FAILED")
