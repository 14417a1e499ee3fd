"""Approvals over HTTP: owners see and decide about theirs, administrators all."""

import pytest

from cartrita.clock import new_id
from tests.support.approvals import question
from tests.support.gateway import assert_headers, assert_problem, running_gateway

URL = "/v3/approvals"


@pytest.fixture
async def api():
    async with running_gateway(genuine=True) as running:
        yield running


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


@pytest.fixture
async def ask(api, alice):
    """Give what asks a question: of a task of Alice's, or of somebody's."""
    me = (await api.http.get("/auth/me", headers=alice)).json()["id"]

    async def asks(user=me, **fields):
        asked = question(user, **fields)
        await api.stand.tree.questions.ask(asked)
        return asked.id

    return asks


async def test_owners_see_theirs_and_administrators_all(api, alice, ask):
    hers, others = await ask(), await ask("somebody")

    mine = await api.http.get(URL, headers=alice)
    everybodys = await api.http.get(URL, headers=await api.admin())

    assert mine.status_code == 200
    assert_headers(mine)
    (row,) = mine.json()["approvals"]
    assert (row["approvalId"], row["state"], row["input"]) == (hers, "pending", {"text": "hello"})
    assert mine.json()["next"] is None
    assert {row["approvalId"] for row in everybodys.json()["approvals"]} == {hers, others}


async def test_a_long_list_comes_in_pages(api, alice, ask):
    asked = sorted([await ask() for _ in range(5)], reverse=True)
    seen, after = [], ""
    while after is not None:
        page = (await api.http.get(f"{URL}?limit=2{after}", headers=alice)).json()
        seen.append([row["approvalId"] for row in page["approvals"]])
        after = page["next"] and f"&before={page['next']}"
    assert seen == [asked[:2], asked[2:4], asked[4:]]


@pytest.mark.parametrize(("decision", "state"), [("approve", "approved"), ("deny", "denied")])
async def test_a_question_is_decided_once(api, alice, ask, decision, state):
    hers = await ask()
    body = {"decision": decision, "reason": "Because."}
    done = await api.http.post(f"{URL}/{hers}", json=body, headers=alice)
    again = await api.http.post(f"{URL}/{hers}", json=body, headers=alice)
    assert done.status_code == 200
    assert (done.json()["state"], done.json()["reason"]) == (state, "Because.")
    assert_problem(again, 409, "INVALID_PARAMETERS", "approvalId")
    assert again.json()["reason"] == "ALREADY_DECIDED"
    listed = await api.http.get(f"{URL}?state={state}", headers=alice)
    assert [row["approvalId"] for row in listed.json()["approvals"]] == [hers]


async def test_what_is_somebody_else_s_is_not_found(api, alice, ask):
    others = await ask("somebody")
    for name in (others, new_id()):
        answer = await api.http.post(f"{URL}/{name}", json={"decision": "approve"}, headers=alice)
        assert_problem(answer, 404, "AUTHORIZATION_FAILED")


@pytest.mark.parametrize(
    "body", [{}, {"decision": "maybe"}, {"decision": "deny", "reason": "x" * 1_001}, {"x": 1}]
)
async def test_what_is_no_decision_is_refused(api, alice, ask, body):
    answer = await api.http.post(f"{URL}/{await ask()}", json=body, headers=alice)
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize("query", ["state=over", "limit=0", "before=x"])
async def test_a_query_that_means_nothing_is_refused(api, alice, query):
    answer = await api.http.get(f"{URL}?{query}", headers=alice)
    field = query.partition("=")[0]
    assert_problem(answer, 422, "INVALID_PARAMETERS", field)


async def test_nobody_comes_in_without_a_token(api):
    assert (await api.http.get(URL)).status_code == 401
    assert (await api.http.post(f"{URL}/{new_id()}", json={})).status_code == 401
