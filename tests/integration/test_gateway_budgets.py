"""Budgets and usage over HTTP: users see theirs, administrators set everybody's."""

import pytest

from cartrita.clock import iso
from cartrita.cost.budget import Ceiling, Defaults, Period
from tests.support.gateway import assert_headers, assert_problem, running_gateway
from tests.support.stage import Echo

URL = "/v3/budgets"
DAILY = Defaults({"user": Ceiling(10**9, 1000, Period.DAY)})
LATER = {"Prefer": "respond-async"}


@pytest.fixture
async def api():
    async with running_gateway(genuine=True, agents=(Echo,), budgets=DAILY) as running:
        yield running


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


@pytest.fixture
async def me(api, alice):
    return (await api.http.get("/auth/me", headers=alice)).json()["id"]


@pytest.fixture
async def admin(api):
    return await api.admin()


async def test_users_see_what_they_may_spend_before_they_spend_anything(api, alice, me):
    told = await api.http.get(URL, headers=alice)
    assert told.status_code == 200
    assert_headers(told)
    (row,) = told.json()["budgets"]
    assert (row["budgetId"], row["maxUsd"], row["maxTokens"]) == (f"user:{me}", 1.0, 1000)
    assert (row["period"], row["isSet"], row["usedUsd"], row["pressure"]) == ("day", False, 0, 0)
    now = api.stand.tree.clock.now()
    assert row["resetsAt"] == iso(Period.DAY.ends(now))


async def test_what_is_spent_shows_and_a_refusal_names_the_budget_and_its_end(api, alice, me):
    for _ in range(4):
        answer = await api.run("test.echo", who=alice)
        assert answer.json()["metrics"]["costUsd"] == 0.25
    refused = await api.run("test.echo", who=alice)
    problem = assert_problem(refused, 402, "INSUFFICIENT_BUDGET")
    assert f"'user:{me}'" in problem["detail"]
    assert "begins anew at 20" in problem["detail"]
    assert int(refused.headers["retry-after"]) > 0
    (row,) = (await api.http.get(URL, headers=alice)).json()["budgets"]
    assert (row["usedUsd"], row["reservedUsd"], row["pressure"]) == (1.0, 0, 1.0)


async def test_administrators_set_a_budget_and_take_that_back(api, alice, me, admin):
    where = f"{URL}/user/{me}"
    put = await api.http.put(where, json={"maxUsd": 0.3, "period": "total"}, headers=admin)
    assert put.status_code == 200
    row = put.json()
    assert (row["maxUsd"], row["maxTokens"], row["isSet"]) == (0.3, None, True)
    assert (row["period"], row["resetsAt"]) == ("total", None)
    assert (await api.run("test.echo", who=alice)).status_code == 200
    problem = assert_problem(await api.run("test.echo", who=alice), 402, "INSUFFICIENT_BUDGET")
    assert "never begins anew" in problem["detail"]
    assert (await api.http.get(where, headers=alice)).json()["usedUsd"] == 0.25
    back = await api.http.delete(where, headers=admin)
    assert (back.json()["maxUsd"], back.json()["isSet"]) == (1.0, False)
    assert (await api.run("test.echo", who=alice)).status_code == 200
    assert_problem(await api.http.delete(where, headers=admin), 404, "AUTHORIZATION_FAILED")
    entries = (await api.http.get("/v3/admin/audit", headers=admin)).json()["entries"]
    told = [(one["action"], one["target"]) for one in entries]
    assert told == [("RESET_BUDGET", f"user:{me}"), ("SET_BUDGET", f"user:{me}")]


async def test_users_neither_set_budgets_nor_see_others(api, alice, me):
    mine = f"{URL}/user/{me}"
    for work in (api.http.put(mine, json={"maxUsd": 9}, headers=alice),
                 api.http.delete(mine, headers=alice)):  # fmt: skip
        assert_problem(await work, 403, "AUTHORIZATION_FAILED")
    other = await api.http.get(f"{URL}/user/somebody", headers=alice)
    assert_problem(other, 404, "AUTHORIZATION_FAILED")
    assert_problem(await api.http.get(URL), 401, "AUTHENTICATION_FAILED")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "maxUsd"),
        ({"period": "day"}, "maxUsd"),
        ({"maxUsd": -1}, "maxUsd"),
        ({"maxUsd": 1e10}, "maxUsd"),
        ({"maxTokens": 1.5}, "maxTokens"),
        ({"maxTokens": 5, "period": "week"}, "period"),
        ({"maxUsd": 5, "maxEuro": 5}, "maxEuro"),
    ],
)
async def test_a_budget_that_is_none_is_refused_by_its_field(api, admin, body, field):
    answer = await api.http.put(f"{URL}/tenant/lab", json=body, headers=admin)
    assert_problem(answer, 422, "INVALID_PARAMETERS", field)


async def test_only_users_and_tenants_have_budgets_to_set(api, admin):
    answer = await api.http.put(f"{URL}/session/x", json={"maxUsd": 1}, headers=admin)
    assert_problem(answer, 422, "INVALID_PARAMETERS", "kind")


async def test_administrators_see_everybody_s_in_pages(api, admin):
    for name in ("a", "b", "c"):
        await api.http.put(f"{URL}/tenant/{name}", json={"maxTokens": 1}, headers=admin)
    seen, after = [], ""
    while after is not None:
        page = (await api.http.get(f"{URL}?limit=2{after}", headers=admin)).json()
        seen.append([row["budgetId"] for row in page["budgets"]])
        after = page["next"] and f"&after={page['next']}"
    assert seen == [["tenant:a", "tenant:b"], ["tenant:c"]]


async def test_a_caller_s_ceiling_refuses_what_costs_more(api, alice):
    answer = await api.run("test.echo", who=alice, budget={"maxUsd": 0.2})
    problem = assert_problem(answer, 402, "INSUFFICIENT_BUDGET")
    assert "'task:" in problem["detail"]


async def test_usage_is_added_up_for_oneself_and_for_administrators_for_all(api, alice, me, admin):
    bob = await api.user("bob@example.org")
    await api.run("test.fail", who=alice)
    await api.run("test.spend", who=alice)
    await api.run("test.echo", who=bob)
    mine = (await api.http.get("/v3/usage", headers=alice)).json()
    told = {
        row["name"]: (row["modelCalls"], row["tokensUsed"], row["costUsd"]) for row in mine["rows"]
    }
    assert told == {
        "": (0, 0, 0.25), "model/a": (2, 30, 0.25), "model/b": (1, 1, 0.5),
    }  # fmt: skip
    assert (mine["by"], mine["costUsd"], mine["tokensUsed"]) == ("model", 1.0, 31)
    users = (await api.http.get("/v3/usage?by=user", headers=admin)).json()
    assert [row["tasks"] for row in users["rows"]] in ([2, 1], [1, 2])
    assert users["costUsd"] == 1.25
    agents = (await api.http.get(f"/v3/usage?by=agent&user={me}", headers=admin)).json()
    assert [(row["name"], row["costUsd"]) for row in agents["rows"]] == [("echo", 1.0)]
    days = (await api.http.get("/v3/usage?by=day", headers=alice)).json()
    assert [row["costUsd"] for row in days["rows"]] == [1.0]


async def test_usage_of_others_is_for_administrators(api, alice):
    answer = await api.http.get("/v3/usage?user=somebody", headers=alice)
    assert_problem(answer, 403, "AUTHORIZATION_FAILED", "user")
    answer = await api.http.get("/v3/usage?by=colour", headers=alice)
    assert_problem(answer, 422, "INVALID_PARAMETERS", "by")
