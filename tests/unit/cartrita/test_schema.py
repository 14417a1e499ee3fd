"""The API's document, from the declarations."""

import json
from decimal import Decimal

import jsonschema
import pytest
from openapi_spec_validator import validate
from pydantic import Field

from cartrita.catalog import Catalog
from cartrita.context import Context
from cartrita.cost.price import per_call
from cartrita.declare import Agent, Params, Result, task
from cartrita.errors import ErrorCode
from cartrita.protocol.wire import WireModel
from cartrita.schema import catalog_entry, example_request, openapi


class Page(WireModel):
    """A page."""

    page_title: str = Field(min_length=1)


class SearchParams(Params):
    """What to look for."""

    query: str = Field(min_length=1)
    first_page: Page | None = None


class SearchResult(Result):
    """What was found."""

    pages: list[Page]


class Problem(Result):
    """Has the name of one of our own schemas."""

    severity: int


class Searcher(Agent, team="intelligence"):
    """Finds things."""

    @task(
        "search.web.pages",
        cost=per_call("0.01"),
        timeout=20,
        idempotent=True,
        aliases=("search.old",),
        example={"query": "actors"},
    )
    async def search(self, params: SearchParams, ctx: Context) -> SearchResult:
        """Search the web."""
        return SearchResult(pages=[])

    @task("search.web.worry")
    async def worry(self, params: SearchParams, ctx: Context) -> Problem:
        """Worry."""
        return Problem(severity=1)


@pytest.fixture(scope="module")
def catalog():
    return Catalog.of([Searcher])


@pytest.fixture(scope="module")
def document(catalog):
    return json.loads(json.dumps(openapi(catalog, "9.9")))


def whole(document, schema):
    return {**schema, "components": document["components"]}


def body_schema(document, name):
    content = document["paths"]["/v3/tasks"]["post"]["requestBody"]["content"]
    target = content["application/json"]["schema"]["discriminator"]["mapping"][name]
    return whole(document, {"$ref": target})


def test_the_document_is_openapi(document):
    validate(document)
    assert document["info"]["version"] == "9.9"


def test_each_operation_has_a_name_of_its_own(document):
    names = [
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
    ]

    assert len(set(names)) == len(names)
    assert all(name.isalnum() for name in names)


def test_every_refusal_is_documented_as_a_problem(document):
    for path in document["paths"].values():
        for operation in path.values():
            refused = {s: r["$ref"] for s, r in operation["responses"].items() if "$ref" in r}
            assert {"400", "413", "500"} <= set(refused)
            for status, reference in refused.items():
                target = reference.rpartition("/")[2]
                content = document["components"]["responses"][target]["content"]
                assert target == f"Refused{status}"
                schema = content["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}


def test_links_lead_to_operations_that_take_what_they_hand_on(document):
    operations = {o["operationId"]: o for path in document["paths"].values() for o in path.values()}
    linked = [
        link
        for operation in operations.values()
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]

    assert {"getTask", "cancelTask", "readTaskEvents", "getV3BlobsBlobid"} <= {
        link["operationId"] for link in linked
    }
    for link in linked:
        target = operations[link["operationId"]]
        taken = {parameter["name"] for parameter in target.get("parameters", ())}
        assert set(link.get("parameters", ())) <= taken
        assert "requestBody" not in link or "requestBody" in target


def test_our_schemas_win_over_an_agents_of_the_same_name(document):
    problem = document["components"]["schemas"]["Problem"]

    assert problem["properties"]["code"]["enum"] == [code.value for code in ErrorCode]
    assert {"code", "traceId", "retryable"} <= set(problem["required"])


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"priority": 10, "metadata": {"a": "b"}, "timeout": 1000}, True),
        ({"parameters": {"query": "x", "firstPage": {"pageTitle": "t"}}}, True),
        ({"parameters": {}}, False),
        ({"parameters": {"query": ""}}, False),
        ({"parameters": {"query": "x", "other": 1}}, False),
        ({"parameters": {"query": "x", "firstPage": {}}}, False),
        ({"taskType": "search.web.worry"}, False),
        ({"priority": 11}, False),
        ({"timeout": 999}, False),
        ({"other": 1}, False),
    ],
)
def test_a_tasks_body_is_documented_as_it_is_checked(document, change, good):
    schema = body_schema(document, "search.web.pages")
    body = {"taskType": "search.web.pages", "parameters": {"query": "x"}, **change}

    checker = jsonschema.Draft202012Validator(schema)

    assert checker.is_valid(body) is good


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"arguments": {"by": 2}}, True),
        ({"command": "CONFIG_UPDATE", "arguments": {"pool": {"least": 0, "most": 2}}}, True),
        ({"command": "EMERGENCY_STOP", "arguments": {"cancel": True}}, True),
        ({"arguments": {"by": 0}}, False),
        ({"arguments": {"grace": 1}}, False),
        ({"command": "EXPLODE"}, False),
        ({"target": "a b"}, False),
        ({"more": 1}, False),
    ],
)
def test_a_command_is_documented_as_it_is_checked(document, change, good):
    schema = whole(document, {"$ref": "#/components/schemas/Command"})
    body = {"command": "SCALE_UP", "target": "intelligence/0", **change}

    assert jsonschema.Draft202012Validator(schema).is_valid(body) is good


def test_an_example_is_a_whole_request(catalog):
    assert example_request(catalog.task("search.old")) == {
        "taskType": "search.web.pages",
        "parameters": {"query": "actors"},
    }
    assert example_request(catalog.task("search.web.worry"))["parameters"] == {}


def test_the_catalogue_tells_all_of_a_task(catalog):
    entry = catalog_entry(catalog.task("search.web.pages"))

    assert {key: entry[key] for key in ("taskType", "agent", "team", "summary", "timeoutMs")} == {
        "taskType": "search.web.pages",
        "agent": "searcher",
        "team": "intelligence",
        "summary": "Search the web.",
        "timeoutMs": 20_000,
    }
    assert Decimal(str(entry["costUsd"])) == Decimal("0.01")
    assert entry["aliases"] == ["search.old"]
    assert entry["idempotent"] is True
    assert (entry["delivery"], entry["effects"]) == ("AT_LEAST_ONCE", [])
    assert (entry["streams"], entry["takesStream"]) == (False, False)
    assert entry["example"] == example_request(catalog.task("search.web.pages"))
    assert list(entry["parameters"]["properties"]) == ["query", "firstPage"]
    assert "pageTitle" in json.dumps(entry["result"])
