"""Tests of `cartrita bridge`."""

import json

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from cartrita.storage.bridge import Compared
from serve_apps.bridge.canary.desk import plan_of
from serve_apps.bridge.canary.sharing import Sharing
from serve_apps.bridge.loop import Bridge
from serve_apps.gateway.app import gateway
from tests.support.api_server import ADMIN, Api, serving, short_folder

SAMPLE = {
    "at": "2026-11-26T18:00:00Z",
    "answered": "bridge",
    "differences": [{"where": "$.id", "v2": "number", "bridge": "missing", "breaks": True}],
}


@pytest.fixture(scope="module")
def bridged():
    """Give an API with the bridge in it, and what stands behind it."""
    with short_folder() as folder:
        inside = Api(folder)
        older = Sharing(Bridge(), plan_of)
        app = gateway(inside.opened, max_body=1 << 20, show_docs=False, older=older)
        with serving(app) as url:
            yield url, inside


@pytest.fixture
def inside(bridged):
    return bridged[1]


@pytest.fixture
def api(bridged):
    return bridged[0]


def echo(request):
    return JSONResponse({"error": "Endpoint not found", "path": request.url.path}, 404)


def pinged(_request):
    return JSONResponse({"message": "pong", "timestamp": "now", "uptime": 1})


@pytest.fixture(scope="module")
def v2():
    """Give a v2 that knows one route, and a person."""

    async def entered(request):
        body = await request.json()
        told = {"success": True, "message": "ok", "token": "a.b.c", "user": {"id": 7}}
        return JSONResponse({**told, "email": body["email"]}, 201)

    routes = [
        Route("/api/cartrita/ping", pinged),
        Route("/api/chat/test", lambda _: JSONResponse({"message": "", "timestamp": ""})),
        Route("/api/auth/register", entered, methods=["POST"]),
        Route("/{rest:path}", echo, methods=["GET", "POST", "PUT", "DELETE"]),
    ]
    with serving(Starlette(routes=routes)) as url:
        yield url


def test_the_standing_is_told(here, inside):
    told = here("bridge", "status")
    assert told.exit_code == 0, told.output
    assert "none: the bridge answers all" in told.stdout
    assert "100%" in told.stdout
    assert json.loads(here("bridge", "status", "--json").stdout)["rolledBack"] is False


async def test_comparisons_are_shown_with_what_was_different(here, inside):
    kept = inside.books.comparisons
    await kept.add([Compared("GET /api/a", 3, 1, sample=SAMPLE), Compared("GET /api/b", 2)])
    plain = here("bridge", "status").stdout
    assert "GET /api/a" in plain
    assert "$.id" not in plain
    assert "$.id" in here("bridge", "status", "--samples").stdout
    assert here("bridge", "clear").exit_code == 0
    assert await kept.all() == []


def test_a_rollback_needs_a_v2(here):
    told = here("bridge", "rollback", "too slow")
    assert told.exit_code == 2
    assert "migration.v2_url" in told.stderr
    assert "answers 100% of the callers" in here("bridge", "resume").stdout


def test_a_v2_is_compared_route_by_route(here, v2):
    told = here("bridge", "check", v2, "--json")
    assert told.exit_code == 1, told.output
    found = {one["route"]: one for one in json.loads(told.stdout)}
    assert found["GET /api/chat/test"]["outcome"] == "same"
    ping = found["GET /api/cartrita/ping"]
    assert (ping["outcome"], ping["v2"], ping["bridge"]) == ("different", 200, 200)
    (missing,) = ping["differences"]
    assert (missing["where"], missing["bridge"]) == ("$.uptime", "missing")
    table = here("bridge", "check", v2).stdout
    assert "GET /api/cartrita/ping" in table
    assert "$.uptime" in table


def test_with_write_an_account_is_made_on_both_and_used(here, v2):
    told = here("bridge", "check", v2, "--write", "--json")
    found = [one["route"] for one in json.loads(told.stdout)]
    assert found[0] == "POST /api/auth/register"
    assert "POST /api/chat/message" in found
    assert found[-1] == "DELETE /api/user/me"


def test_an_instance_is_no_different_from_itself(here, api):
    email, password = ADMIN
    body = {"email": email, "password": password}
    token = httpx.post(f"{api}/auth/login", json=body).json()["token"]
    told = here("bridge", "check", api, "--token", token, "--json")
    found = json.loads(told.stdout)
    assert [one for one in found if one["outcome"] != "same"] == []
    assert len(found) > 20
    assert told.exit_code == 0


def test_a_v2_that_is_not_there_is_said(here):
    told = here("bridge", "check", "http://127.0.0.1:9", "--json")
    assert told.exit_code == 3
    assert told.stdout == ""
    assert "http://127.0.0.1:9 gave no answer" in told.stderr


def test_what_is_no_address_is_refused(here):
    told = here("bridge", "check", "old-v2")
    assert told.exit_code == 2
    assert "'old-v2'" in told.stderr
