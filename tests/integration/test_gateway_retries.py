"""Retries and erasure over HTTP."""

import pytest

from cartrita.answers import Question
from cartrita.clock import new_id
from cartrita.storage.answers import Owner
from tests.support.gateway import assert_headers, assert_problem, running_gateway


@pytest.fixture
async def api():
    async with running_gateway(genuine=True) as running:
        yield running


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


async def test_a_task_that_failed_is_tried_again_once(api, alice):
    failed = (await api.run("bench.fail", who=alice)).json()["taskId"]
    tries = [await api.http.post(f"/v3/tasks/{failed}/retry", headers=alice) for _ in range(2)]
    for one in tries:
        assert one.status_code == 202
        assert_headers(one)
        assert one.json()["retryOf"] == failed
        assert one.headers["location"] == f"/v3/tasks/{one.json()['taskId']}"
    assert tries[0].json()["taskId"] == tries[1].json()["taskId"]
    again = await api.http.get(f"{tries[0].headers['location']}?wait=5", headers=alice)
    assert again.json()["reason"] == "QUALITY_REJECTED"


async def test_what_cannot_be_tried_again_is_refused(api, alice):
    done = (await api.run(who=alice)).json()["taskId"]
    refused = await api.http.post(f"/v3/tasks/{done}/retry", headers=alice)
    assert_problem(refused, 409, "INVALID_PARAMETERS", "taskId")
    for task_id, who, status in ((new_id(), alice, 404), (done, await api.admin(), 403)):
        answer = await api.http.post(f"/v3/tasks/{task_id}/retry", headers=who)
        assert_problem(answer, status, "AUTHORIZATION_FAILED")
    assert_problem(await api.http.post(f"/v3/tasks/{done}/retry"), 401, "AUTHENTICATION_FAILED")


async def test_users_erase_their_own_answers_and_administrators_a_tenant_s(api, alice):
    me = (await api.http.get("/auth/me", headers=alice)).json()["id"]
    for key in ("a", "b"):
        await api.stand.kept.keep(Question(Owner("lab", me), key), {}, None)
    gone = await api.http.delete(f"/v3/answers/user/{me}", headers=alice)
    assert gone.status_code == 200
    assert (gone.json()["owner"], gone.json()["erased"]) == (f"user:{me}", 2)
    lab = "/v3/answers/tenant/lab"
    assert_problem(await api.http.delete(lab, headers=alice), 403, "AUTHORIZATION_FAILED")
    admin = await api.admin()
    assert (await api.http.delete(lab, headers=admin)).json()["erased"] == 0
    entries = (await api.http.get("/v3/admin/audit", headers=admin)).json()["entries"]
    assert [(one["action"], one["target"]) for one in entries] == [
        ("ERASE_ANSWERS", "tenant:lab"), ("ERASE_ANSWERS", f"user:{me}"),
    ]  # fmt: skip
    wrong = await api.http.delete("/v3/answers/session/x", headers=alice)
    assert_problem(wrong, 422, "INVALID_PARAMETERS", "kind")
