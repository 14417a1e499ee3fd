"""Effects over HTTP: owners see and settle theirs, administrators all."""

import pytest

from cartrita.clock import new_id
from tests.support.effects import doubtful
from tests.support.gateway import assert_headers, assert_problem, running_gateway

URL = "/v3/effects"


@pytest.fixture
async def api():
    async with running_gateway(genuine=True) as running:
        yield running


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


@pytest.fixture
async def doubt(api, alice):
    """Give what leaves an unknown effect behind: Alice's, or somebody's."""
    me = (await api.http.get("/auth/me", headers=alice)).json()["id"]

    async def leave(user=me, key="ada"):
        return await doubtful(api.stand.tables, user, key=key, shard=f"x/{key}")

    return leave


async def test_owners_see_theirs_and_administrators_all(api, alice, doubt):
    hers, others = await doubt(), await doubt("somebody", "eve")

    mine = await api.http.get(URL, headers=alice)
    everybodys = await api.http.get(URL, headers=await api.admin())

    assert mine.status_code == 200
    assert_headers(mine)
    (row,) = mine.json()["effects"]
    assert (row["effectId"], row["state"], row["key"]) == (hers, "unknown", "ada")
    assert mine.json()["next"] is None
    assert {row["effectId"] for row in everybodys.json()["effects"]} == {hers, others}


async def test_a_long_list_comes_in_pages(api, alice, doubt):
    effects = sorted([await doubt(key=key) for key in "abcde"], reverse=True)
    seen, after = [], ""

    while after is not None:
        page = (await api.http.get(f"{URL}?limit=2{after}", headers=alice)).json()
        seen.append([row["effectId"] for row in page["effects"]])
        after = page["next"] and f"&before={page['next']}"

    assert seen == [effects[:2], effects[2:4], effects[4:]]


@pytest.mark.parametrize(
    ("body", "state", "result"),
    [
        ({"outcome": "done"}, "done", None),
        ({"outcome": "done", "result": {"receipt": [1]}}, "done", {"receipt": [1]}),
        ({"outcome": "not_done"}, "not_done", None),
    ],
)
async def test_a_doubt_is_settled_once(api, alice, doubt, body, state, result):
    hers = await doubt()

    first = await api.http.post(f"{URL}/{hers}/resolve", headers=alice, json=body)
    second = await api.http.post(f"{URL}/{hers}/resolve", headers=alice, json=body)

    assert first.status_code == 200
    assert (first.json()["state"], first.json()["result"]) == (state, result)
    refused = assert_problem(second, 409, "INVALID_PARAMETERS", "effectId")
    assert refused["reason"] == "EFFECT_SETTLED"
    assert "retry-after" not in second.headers
    assert (await api.http.get(URL, headers=alice)).json()["effects"] == []
    listed = await api.http.get(f"{URL}?state={state}", headers=alice)
    assert [row["effectId"] for row in listed.json()["effects"]] == [hers]
    audit = (await api.http.get("/v3/admin/audit", headers=await api.admin())).json()["entries"]
    assert [entry["outcome"] for entry in audit] == [f"refused: {state} before", state]
    assert {(entry["action"], entry["target"]) for entry in audit} == {("RESOLVE_EFFECT", hers)}


async def test_what_is_somebody_elses_is_not_found(api, alice, doubt):
    for effect in (await doubt("somebody"), new_id()):
        answer = await api.http.post(
            f"{URL}/{effect}/resolve", headers=alice, json={"outcome": "done"}
        )
        assert_problem(answer, 404, "AUTHORIZATION_FAILED")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "outcome"),
        ({"outcome": "unknown"}, "outcome"),
        ({"outcome": "not_done", "result": 1}, "result"),
        ({"outcome": "done", "by": "me"}, "by"),
    ],
)
async def test_refuses_what_is_no_decision_by_name(api, alice, doubt, body, field):
    answer = await api.http.post(f"{URL}/{await doubt()}/resolve", headers=alice, json=body)
    assert_problem(answer, 422, "INVALID_PARAMETERS", field)


@pytest.mark.parametrize(
    ("query", "field"),
    [("state=maybe", "state"), ("state=", "state"), ("limit=0", "limit"), ("before=x", "before")],
)
async def test_refuses_a_wrong_question_by_name(api, alice, query, field):
    answer = await api.http.get(f"{URL}?{query}", headers=alice)
    assert_problem(answer, 422, "INVALID_PARAMETERS", field)


async def test_refuses_what_names_no_effect(api, alice):
    answer = await api.http.post(f"{URL}/x/resolve", headers=alice, json={"outcome": "done"})
    assert_problem(answer, 422, "INVALID_PARAMETERS", "effectId")


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/x/resolve")])
async def test_needs_a_token(api, method, path):
    assert_problem(await api.http.request(method, URL + path), 401, "AUTHENTICATION_FAILED")
