"""API keys: made over HTTP, accepted by every door, bounded by their scopes."""

import grpc
import pytest
import socketio

from cartrita.auth.apikeys import REFUSED
from cartrita.clock import new_id
from serve_apps.gateway.sockets.bounds import Bounds
from tests.support.gateway import as_header, assert_problem, running_gateway
from tests.support.rpc import Reflected, rpc_gateway
from tests.support.sockets import calling, socket_gateway, talking

ECHO = {"taskType": "system.echo", "parameters": {"payload": "hello"}}


@pytest.fixture
async def api():
    async with running_gateway() as running:
        yield running


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


async def made(api, who, **fields):
    """Make a key and return what is told of it."""
    answer = await api.http.post("/v3/keys", json={"name": "ci", **fields}, headers=who)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def key_of(api, who, *scopes):
    """Make a key and return the header that speaks for it."""
    told = await made(api, who, **({"scopes": scopes} if scopes else {}))
    return as_header(told["key"])


async def test_a_key_is_told_once_and_listed_without_its_secret(api, alice):
    first = await made(api, alice, name="Zoë's", scopes=["tasks:bench.*"], expiresInDays=1)
    second = await made(api, alice)

    secret = first.pop("key")
    listed = await api.http.get("/v3/keys", headers=alice)
    assert secret not in listed.text
    assert [row["keyId"] for row in listed.json()["keys"]] == [second["keyId"], first["keyId"]]
    assert listed.json()["keys"][1] == first
    assert (first["name"], first["scopes"], first["lastUsedAt"]) == (
        "Zoë's",
        ["tasks:bench.*"],
        None,
    )
    await api.http.get("/auth/me", headers=as_header(secret))
    (_, used) = (await api.http.get("/v3/keys", headers=alice)).json()["keys"]
    assert used["lastUsedAt"] >= used["createdAt"]


async def test_pages_of_keys_follow_one_another(api, alice):
    ids = [(await made(api, alice))["keyId"] for _ in range(3)]
    page = (await api.http.get("/v3/keys?limit=2", headers=alice)).json()
    rest = await api.http.get("/v3/keys", params={"before": page["next"]}, headers=alice)
    found = [row["keyId"] for row in (*page["keys"], *rest.json()["keys"])]
    assert found == ids[::-1]
    assert rest.json()["next"] is None
    assert_problem(
        await api.http.get("/v3/keys?before=x", headers=alice), 422, "INVALID_PARAMETERS", "before"
    )


async def test_a_key_is_taken_wherever_a_token_is(api, alice):
    key = (await made(api, alice))["key"]
    for who in (as_header(key), {"X-API-Key": key}, {"x-api-key": f" {key} "}):
        assert (await api.run(who=who)).json()["status"] == "COMPLETED"
        me = (await api.http.get("/auth/me", headers=who)).json()
        assert me["email"] == "alice@example.org"


async def test_only_a_key_may_come_as_one_and_authorization_goes_first(api, alice):
    key, token = (await made(api, alice))["key"], alice["Authorization"].removeprefix("Bearer ")
    assert_problem(await api.run(who={"X-API-Key": token}), 401, "AUTHENTICATION_FAILED")
    wrong = {**as_header("wrong"), "X-API-Key": key}
    assert_problem(await api.run(who=wrong), 401, "AUTHENTICATION_FAILED")


async def test_what_is_no_key_is_refused_in_the_same_words(api, alice):
    told = await made(api, alice)
    await api.http.delete(f"/v3/keys/{told['keyId']}", headers=alice)
    for wrong in (told["key"], told["key"][:-1], "ctk_", "ctk_" + "a" * 32, "ctk_" + "a" * 8000):
        answer = await api.run(who=as_header(wrong))
        assert assert_problem(answer, 401, "AUTHENTICATION_FAILED")["detail"] == REFUSED


async def test_a_revoked_key_is_refused_at_once_and_gone(api, alice):
    told = await made(api, alice)
    who = as_header(told["key"])
    assert (await api.run(who=who)).status_code == 200
    ended = await api.http.delete(f"/v3/keys/{told['keyId']}", headers=alice)
    assert (ended.status_code, ended.content) == (204, b"")
    assert_problem(await api.run(who=who), 401, "AUTHENTICATION_FAILED")
    again = await api.http.delete(f"/v3/keys/{told['keyId']}", headers=alice)
    assert_problem(again, 404, "AUTHORIZATION_FAILED")


async def test_others_neither_see_nor_revoke_a_key_and_administrators_do(api, alice):
    told, bob = await made(api, alice), await api.user("bob@example.org")
    path = f"/v3/keys/{told['keyId']}"
    assert (await api.http.get("/v3/keys", headers=bob)).json()["keys"] == []
    assert_problem(await api.http.delete(path, headers=bob), 404, "AUTHORIZATION_FAILED")
    admin = await api.admin()
    (row,) = (await api.http.get("/v3/keys", headers=admin)).json()["keys"]
    assert row["keyId"] == told["keyId"]
    assert (await api.http.delete(path, headers=admin)).status_code == 204
    noted = (await api.http.get("/v3/admin/audit", headers=admin)).json()["entries"]
    assert [entry["action"] for entry in noted] == ["REVOKE_KEY", "CREATE_KEY"]
    assert {entry["target"] for entry in noted} == {told["keyId"]}
    assert told["key"] not in str(noted)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a" * 101}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["tasks:*", "what?"]}, "scopes.1"),
        ({"expiresInDays": 0}, "expiresInDays"),
        ({"expiresInDays": 10**12}, "expiresInDays"),
        ({"hash": "x"}, "hash"),
    ],
)
async def test_what_no_key_can_be_is_refused_by_name(api, alice, fields, wrong):
    answer = await api.http.post("/v3/keys", json={"name": "ci", **fields}, headers=alice)
    assert_problem(answer, 422, "INVALID_PARAMETERS", wrong)


async def test_nobody_makes_a_key_that_may_more_than_they(api, alice):
    for scope in ("*", "admin:*", "budgets:write"):
        answer = await api.http.post(
            "/v3/keys", json={"name": "ci", "scopes": [scope]}, headers=alice
        )
        assert_problem(answer, 403, "AUTHORIZATION_FAILED", "scopes")


async def test_scopes_bound_what_a_key_may_do(api, alice):
    task = (await api.run(who=alice)).json()["taskId"]
    narrow = await key_of(api, alice, "tasks:bench.*")
    assert (await api.run("bench.shape", {"itemCount": 1}, who=narrow)).status_code == 200
    asks = {
        ("POST", "/v3/tasks"): 403,
        ("GET", "/v3/tasks"): 403,
        ("GET", f"/v3/tasks/{task}"): 404,
        ("DELETE", f"/v3/tasks/{task}"): 404,
        ("GET", f"/v3/tasks/{task}/events"): 404,
        ("GET", f"/v3/tasks/{task}/story"): 404,
        ("GET", "/v3/effects"): 403,
        ("GET", "/v3/quarantine"): 403,
        ("GET", "/v3/mcp/last-responses"): 403,
        ("GET", "/v3/agents"): 403,
        ("GET", "/v3/tree"): 403,
        ("GET", "/v3/keys"): 403,
        ("POST", "/v3/keys"): 403,
        ("DELETE", f"/v3/keys/{new_id()}"): 403,
        ("POST", "/auth/logout"): 403,
        ("GET", "/v3/admin/audit"): 403,
    }
    for (method, path), status in asks.items():
        body = {"json": ECHO if path == "/v3/tasks" else {"name": "more"}}
        options = body if method == "POST" and "logout" not in path else {}
        answer = await api.http.request(method, path, headers=narrow, **options)
        assert_problem(answer, status, "AUTHORIZATION_FAILED")
    assert (await api.http.get("/v3/catalog", headers=narrow)).status_code == 200


async def test_a_key_that_is_not_for_tasks_keeps_no_blobs(api, alice):
    reader = await key_of(api, alice, "agents:read")
    send = {"content": b"x", "headers": {**reader, "content-type": "text/plain"}}
    assert_problem(await api.http.post("/v3/blobs", **send), 403, "AUTHORIZATION_FAILED")
    assert (await api.http.get("/v3/agents", headers=reader)).status_code == 200
    assert_problem(await api.run(who=reader), 403, "AUTHORIZATION_FAILED")


async def test_an_administrators_key_is_one_only_where_its_scopes_say_so(api, alice):
    admin = await api.admin()
    task = (await api.run(who=alice)).json()["taskId"]
    usual, full = await key_of(api, admin), await key_of(api, admin, "*")
    path = f"/v3/tasks/{task}"
    assert_problem(await api.http.get(path, headers=usual), 404, "AUTHORIZATION_FAILED")
    assert (await api.http.get(path, headers=full)).status_code == 200
    asked = {"json": {"command": "HEALTH_CHECK", "target": "tree"}}
    refused = await api.http.post("/v3/admin/commands", headers=usual, **asked)
    assert_problem(refused, 403, "AUTHORIZATION_FAILED")
    assert (await api.http.post("/v3/admin/commands", headers=full, **asked)).status_code == 200


async def test_a_key_is_not_signed_out(api, alice):
    told = await made(api, alice, scopes=["keys:*"])
    answer = await api.http.post("/auth/logout", headers=as_header(told["key"]))
    assert told["keyId"] in assert_problem(answer, 403, "AUTHORIZATION_FAILED")["detail"]
    assert (await api.http.get("/v3/keys", headers=as_header(told["key"]))).status_code == 200


async def test_sockets_take_a_key_and_end_with_it():
    async with socket_gateway(bounds=Bounds(check=0.01)) as (api, port):
        alice = await api.user("alice@example.org")
        told = await made(api, alice)
        key = told["key"]
        offered = {"subprotocols": ["cartrita.v3", f"bearer.{key}"]}
        for options in ({"who": as_header(key)}, {"who": {"X-API-Key": key}}, offered):
            async with calling(port, **options) as caller:
                done = await caller.ask("submit", task=ECHO, wait=True)
                assert done["result"]["status"] == "COMPLETED"
        async with calling(port) as caller, talking(port, as_header(key)) as talker:
            standing = await caller.ask("auth", token=key)
            assert standing["result"]["expiresAt"] == told["expiresAt"][:19] + ".000+00:00"
            answer = await talker.send("TASK_REQUEST", ECHO)
            assert answer["payload"]["status"] == "COMPLETED"
            ended = await api.http.delete(f"/v3/keys/{told['keyId']}", headers=alice)
            assert ended.status_code == 204
            assert await caller.closed() == (1008, "the token is good no more")
            await talker.next("disconnect")
        with pytest.raises(socketio.exceptions.ConnectionError):
            async with talking(port, as_header(key)):
                pass


async def test_grpc_takes_a_key():
    async with rpc_gateway() as (api, _, channel):
        alice = await api.user("alice@example.org")
        key = (await made(api, alice, scopes=["agents:read"]))["key"]
        service = ("MCPSupervisorService", "GetCapabilities")
        for metadata in ([("authorization", f"Bearer {key}")], [("x-api-key", key)]):
            answer = await Reflected(channel).call(*service, metadata)
            assert "system.echo" in answer.capabilities.task_types
        narrow = (await made(api, alice, scopes=["tasks:*"]))["key"]
        for wrong, status in ((narrow, "PERMISSION_DENIED"), ("ctk_no", "UNAUTHENTICATED")):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await Reflected(channel).call(*service, [("x-api-key", wrong)])
            assert refused.value.code().name == status
