"""The gateway's documentation of itself, and which pages may call it."""

import re

import jsonschema
import pytest
from openapi_spec_validator import validate

from tests.support.elsewhere import registration
from tests.support.gateway import PASSWORD, assert_problem, running_gateway

ECHO = {"taskType": "system.echo", "parameters": {"payload": 1}}
ORIGIN = "https://app.example.org"


@pytest.fixture
async def api():
    async with running_gateway() as running:
        yield running


async def document_of(api):
    answer = await api.http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


async def test_openapi_is_valid(api):
    document = await document_of(api)

    validate(document)
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == "3.0.0-test"


async def test_openapi_documents_one_body_per_task_and_each_works(api):
    alice = await api.user("alice@example.org")
    document = await document_of(api)
    content = document["paths"]["/v3/tasks"]["post"]["requestBody"]["content"]
    body = content["application/json"]

    assert list(body["examples"]) == list(api.stand.tree.catalog.tasks)
    mapping = body["schema"]["discriminator"]["mapping"]
    assert list(mapping) == list(body["examples"])
    assert len({str(option) for option in body["schema"]["oneOf"]}) == len(mapping)
    api.stand.latch.released.set()
    for name, example in body["examples"].items():
        schema = {"$ref": mapping[name], "components": document["components"]}
        jsonschema.validate(example["value"], schema)
        ran = await api.http.post("/v3/tasks", json=example["value"], headers=alice)
        assert ran.status_code == 200
        answer = {"$ref": "#/components/schemas/TaskResponse", **schema}
        jsonschema.validate(ran.json(), {**answer, "$ref": "#/components/schemas/TaskResponse"})


async def test_openapi_documents_every_route(api):
    document = await document_of(api)
    documented = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }

    for method, path in documented:
        answer = await api.http.request(method, re.sub(r"\{\w+\}", "x", path))
        assert answer.status_code not in {404, 405}, (method, path)
    undocumented = {"/docs", "/redoc", "/openapi.json", "/docs/start.js", "/docs/static/{name}"}
    from serve_apps.gateway import docs
    from serve_apps.gateway.app import ROUTES

    routes = [*ROUTES, *docs.ROUTES]
    offered = {
        (method, route.path.replace("_id}", "Id}"))
        for route in routes
        for method in (getattr(route, "methods", None) or {"HEAD"}) - {"HEAD"}
        if route.path not in undocumented
    }
    assert documented == offered


async def test_openapi_says_which_routes_need_a_token(api):
    document = await document_of(api)

    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answer = await api.http.request(method.upper(), path)
            assert (answer.status_code == 401) == ("security" in operation), (method, path)


async def test_answers_are_as_documented(api):
    document = await document_of(api)
    login = {"email": "carol@example.org", "password": PASSWORD}
    answers = {
        ("post", "/auth/register"): await api.http.post("/auth/register", json=login),
        ("post", "/auth/login"): await api.http.post("/auth/login", json=login),
        ("get", "/health"): await api.http.get("/health"),
        ("get", "/livez"): await api.http.get("/livez"),
        ("get", "/.well-known/jwks.json"): await api.http.get("/.well-known/jwks.json"),
        **await operators_answers(api),
    }

    for (method, path), answer in answers.items():
        documented = document["paths"][path][method]["responses"][str(answer.status_code)]
        schema = documented["content"]["application/json"]["schema"]
        jsonschema.validate(answer.json(), {**schema, "components": document["components"]})
    refused = await api.http.post("/auth/login", json={})
    problem = {"$ref": "#/components/schemas/Problem", "components": document["components"]}
    jsonschema.validate(refused.json(), problem)


async def operators_answers(api):
    """Ask for everything that is for operators."""
    admin, order = await api.admin(), {"command": "HEALTH_CHECK", "target": "tree"}
    task = api.stand.ward.admit("somebody")
    asks = {
        ("post", "/v3/admin/commands"): {"json": order},
        ("post", "/v3/quarantine/{taskId}/retry"): {},
        ("get", "/v3/quarantine"): {},
        ("get", "/v3/quarantine/{taskId}"): {},
        ("get", "/v3/admin/audit"): {},
        ("post", "/v3/agents/register"): {"json": registration()},
        ("get", "/v3/agents"): {},
        ("post", "/v3/keys"): {"json": {"name": "ci", "scopes": None, "expiresInDays": 1}},
        ("get", "/v3/keys"): {},
        ("get", "/v3/agents/{name}"): {},
        ("get", "/v3/agents/{name}/status"): {},
        ("get", "/v3/mcp/last-responses"): {},
        ("post", "/v3/mcp/bridge"): {"json": {"task_type": "bench.fail"}},
        ("get", "/v3/tasks"): {},
        ("post", "/v3/tasks/batch"): {"json": {"tasks": [ECHO, {"taskType": "none"}]}},
        ("delete", "/v3/quarantine/{taskId}"): {},
    }
    return {
        (method, path): await api.http.request(
            method, path.format(taskId=task, name="bench"), headers=admin, **more
        )
        for (method, path), more in asks.items()
    }


async def test_an_event_is_as_documented(api):
    from tests.support.runtime import event

    document = await document_of(api)
    told = event("018bcfe5-6800-7000-8000-000000000001", 0, "token", {"text": "x"})
    schema = {"$ref": "#/components/schemas/TaskEvent", "components": document["components"]}
    jsonschema.validate(told, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**told, "type": "thought"}, schema)


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_the_pages_need_nothing_from_elsewhere(api, page):
    answer = await api.http.get(page)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "http" not in answer.headers["content-security-policy"]
    links = re.findall(r'(?:src|href|spec-url)="([^"]+)"', answer.text)
    assert links
    for link in links:
        assert link.startswith(("/", "data:,"))
        assert not link.startswith("//")
        if link.startswith("/"):
            assert (await api.http.get(link)).status_code == 200, link
    assert "<script>" not in answer.text


async def test_the_pages_files_load_nothing_from_elsewhere(api):
    start = (await api.http.get("/docs/start.js")).text
    css = (await api.http.get("/docs/static/swagger-ui.css")).text

    assert "://" not in start
    assert "validatorUrl: null" in start
    assert all(
        target.startswith(("data:", '"data:')) for target in re.findall(r"url\(([^)]{6})", css)
    )
    assert "@import" not in css


@pytest.mark.parametrize("name", ["favicon.png", "..%2fstart", "x", "%2e%2e"])
async def test_offers_no_file_that_the_pages_do_not_name(api, name):
    assert_problem(await api.http.get(f"/docs/static/{name}"), 404, "AUTHORIZATION_FAILED")


async def test_documentation_can_be_switched_off():
    async with running_gateway(show_docs=False) as api:
        for path in ("/docs", "/redoc", "/openapi.json", "/docs/static/swagger-ui.css"):
            assert_problem(await api.http.get(path), 404, "AUTHORIZATION_FAILED")


async def test_pages_of_a_named_origin_may_call_and_read_refusals():
    async with running_gateway(cors=(ORIGIN,)) as api:
        asks = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
        }
        preflight = await api.http.options("/v3/tasks", headers=asks)
        refused = await api.http.post("/v3/tasks", headers={"Origin": ORIGIN})
        too_long = await api.http.post(
            "/v3/tasks", headers={"Origin": ORIGIN, "Content-Length": "99999999"}
        )
        stranger = await api.http.get("/livez", headers={"Origin": "https://evil.example"})

        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == ORIGIN
        assert_problem(refused, 401, "AUTHENTICATION_FAILED")
        assert refused.headers["access-control-allow-origin"] == ORIGIN
        assert "X-Request-ID" in refused.headers["access-control-expose-headers"]
        assert_problem(too_long, 413, "RESOURCE_LIMIT_EXCEEDED")
        assert too_long.headers["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-origin" not in stranger.headers


async def test_no_page_may_call_by_default(api):
    answer = await api.http.get("/livez", headers={"Origin": ORIGIN})

    assert "access-control-allow-origin" not in answer.headers
