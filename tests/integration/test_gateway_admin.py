"""What administrators order over HTTP, and the record of it."""

import pytest

from tests.support.gateway import assert_headers, assert_problem, running_gateway

COMMANDS, AUDIT = "/v3/admin/commands", "/v3/admin/audit"


@pytest.fixture
async def api():
    async with running_gateway() as running:
        yield running


@pytest.fixture
async def admin(api):
    return await api.admin()


def body(command="SCALE_UP", target="intelligence/0", **arguments):
    return {"command": command, "target": target, "arguments": arguments}


async def test_a_command_is_passed_on_with_who_gave_it(api, admin):
    me = (await api.http.get("/auth/me", headers=admin)).json()["id"]

    answer = await api.http.post(COMMANDS, json=body(by=2), headers=admin)

    assert answer.status_code == 200
    assert_headers(answer)
    assert answer.json() == {
        "command": "SCALE_UP",
        "target": "intelligence/0",
        "results": [{"id": "intelligence/0", "ok": True, "state": "up"}],
    }
    assert api.stand.bridge.orders == [("SCALE_UP", "intelligence/0", {"by": 2}, me)]


async def test_arguments_may_be_left_out_and_written_with_underscores(api, admin):
    bare = {"command": "HEALTH_CHECK", "target": "tree"}
    await api.http.post(COMMANDS, json=bare, headers=admin)
    sizes = body("CONFIG_UPDATE", message_queue_size=9, pool={"least": 0, "most": 2})
    await api.http.post(COMMANDS, json=sizes, headers=admin)

    assert [order[2] for order in api.stand.bridge.orders] == [
        {},
        {"messageQueueSize": 9, "pool": {"least": 0, "most": 2}},
    ]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({**body(), "more": 1}, "more"),
        ({"command": "SCALE_UP"}, "target"),
        (body("EXPLODE"), "command"),
        (body(target="../x"), "target"),
        ({**body(), "arguments": [1]}, "arguments"),
        (body(by=2, to=3), "arguments.to"),
        (body(grace=3), "arguments.grace"),
        (body("CONFIG_UPDATE"), "arguments"),
        (body("EMERGENCY_STOP", cancel="yes"), "arguments.cancel"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name_and_not_passed_on(api, admin, asked, field):
    answer = await api.http.post(COMMANDS, json=asked, headers=admin)

    assert_problem(answer, 422, "INVALID_PARAMETERS", field)
    assert api.stand.bridge.orders == []


async def test_a_target_that_is_not_there_is_told(api, admin):
    answer = await api.http.post(COMMANDS, json=body(target="nowhere"), headers=admin)
    assert_problem(answer, 404, "AUTHORIZATION_FAILED")


async def test_only_administrators_command_and_read_the_record(api):
    alice = await api.user("alice@example.org")

    for who, status, code in (
        (alice, 403, "AUTHORIZATION_FAILED"),
        ({}, 401, "AUTHENTICATION_FAILED"),
    ):
        ordered = await api.http.post(COMMANDS, json=body("EMERGENCY_STOP", "tree"), headers=who)
        assert_problem(ordered, status, code)
        assert_problem(await api.http.get(AUDIT, headers=who), status, code)
    assert api.stand.bridge.orders == []


async def test_the_record_comes_newest_first_and_in_pages(api, admin):
    for number in range(1, 4):
        await api.http.post(COMMANDS, json=body(to=number), headers=admin)

    first = (await api.http.get(f"{AUDIT}?limit=2", headers=admin)).json()
    rest = (await api.http.get(f"{AUDIT}?limit=2&before={first['next']}", headers=admin)).json()

    assert [entry["detail"] for entry in first["entries"]] == [{"to": 3}, {"to": 2}]
    assert [entry["detail"] for entry in rest["entries"]] == [{"to": 1}]
    assert rest["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "before=-1", "before=x", f"before={'9' * 19}"])
async def test_refuses_wrong_pages(api, admin, query):
    answer = await api.http.get(f"{AUDIT}?{query}", headers=admin)
    assert_problem(answer, 422, "INVALID_PARAMETERS", query.partition("=")[0])
