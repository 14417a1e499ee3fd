"""How often one may ask, and what the answers say about that."""

import re

import pytest

from cartrita.rate import Quota
from tests.support.gateway import assert_problem, running_gateway

ECHO = {"taskType": "system.echo", "parameters": {"payload": 1}}
FIVE = (Quota("principal", 5, 60.0), None)


@pytest.fixture
async def api():
    async with running_gateway(quotas=FIVE) as running:
        yield running


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


def left(answer):
    """Return what an answer says is left, and when there is more."""
    told = re.fullmatch(r'"principal";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
    return int(told[1]), int(told[2])


async def test_each_answer_tells_the_quota_and_what_is_left_of_it(api, alice):
    for remaining in (4, 3):
        answer = await api.http.get("/auth/me", headers=alice)
        assert answer.headers["ratelimit-policy"] == '"principal";q=5;w=60'
        assert left(answer)[0] == remaining
        assert 1 <= left(answer)[1] <= 65


async def test_a_task_counts_once(api, alice):
    assert left(await api.run(who=alice))[0] == 4
    assert left(await api.run(who=alice, headers={"Prefer": "respond-async"}))[0] == 3


async def test_beyond_it_requests_are_refused_until_they_may_come_back(api, alice):
    for _ in range(5):
        await api.http.get("/v3/catalog", headers=alice)

    for refused in (await api.http.get("/v3/catalog", headers=alice), await api.run(who=alice)):
        body = assert_problem(refused, 429, "RATE_LIMIT_EXCEEDED")
        assert body["violated-policies"] == ["principal"]
        assert body["retryable"] is True
        remaining, reset = left(refused)
        assert remaining == 0
        assert int(refused.headers["retry-after"]) >= reset

    bob = await api.user("bob@example.org")
    assert (await api.run(who=bob)).status_code == 200


async def test_of_a_batch_as_many_are_taken_as_are_left(api, alice):
    answer = await api.http.post("/v3/tasks/batch", json={"tasks": [ECHO] * 8}, headers=alice)

    body = answer.json()
    assert (body["accepted"], body["refused"]) == (5, 3)
    codes = {v["problem"]["code"] for v in body["results"] if not v["accepted"]}
    assert codes == {"RATE_LIMIT_EXCEEDED"}
    assert all(v["problem"]["retryAfter"] > 0 for v in body["results"] if not v["accepted"])
    assert left(answer)[0] == 0


async def test_what_all_have_together_has_a_limit_too():
    async with running_gateway(quotas=(None, Quota("shared", 2, 60.0))) as api:
        alice, bob = await api.user("alice@example.org"), await api.user("bob@example.org")
        assert (await api.run(who=alice)).status_code == 200
        assert (await api.run(who=bob)).status_code == 200
        body = assert_problem(await api.run(who=alice), 429, "RATE_LIMIT_EXCEEDED")
        assert body["violated-policies"] == ["shared"]


async def test_health_is_never_refused(api):
    for _ in range(10):
        assert (await api.http.get("/livez")).status_code == 200
        assert "ratelimit" not in (await api.http.get("/health")).headers


async def test_without_a_limit_nothing_is_said_of_one():
    async with running_gateway() as api:
        answer = await api.run(who=await api.user("alice@example.org"))
        assert "ratelimit" not in answer.headers
        assert "ratelimit-policy" not in answer.headers
