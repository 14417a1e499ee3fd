"""The API as OpenAPI 3.1, from the declarations."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic.json_schema import models_json_schema

from cartrita.catalog import Catalog
from cartrita.declare import TaskSpec
from cartrita.errors import ErrorCode
from cartrita.protocol.task import TaskRequest, TaskResponse

REF = "#/components/schemas/{model}"
_JSON = "application/json"
_PROBLEM = "application/problem+json"

_TEXT = {"type": "string"}
_EMAIL = {"type": "string", "format": "email", "maxLength": 320}
_PASSWORD = {"type": "string", "format": "password", "minLength": 8, "maxLength": 256}
_REFRESH = {"type": "string", "minLength": 1, "maxLength": 256}


@dataclass(frozen=True, slots=True)
class _Route:
    """A route that is not about tasks.

    Attributes:
        fields: Of the request's body; a name that ends in `?` may be left out.
        answer: The schema of a success; None for one without a body.
        private: Whether a token is needed.
    """

    method: str
    path: str
    summary: str
    tag: str
    answer: dict[str, Any] | None
    status: int = 200
    fields: dict[str, Any] | None = None
    private: bool = False
    kind: str = _JSON


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": REF.format(model=name)}


_OBJECT: dict[str, Any] = {"type": "object"}
_SESSION, _ACCOUNT, _HEALTH = _ref("AuthSession"), _ref("AuthAccount"), _ref("HealthReport")
_LOGIN = {"email": _EMAIL, "password": _PASSWORD}
_NAMED = {**_LOGIN, "name?": {"type": "string", "maxLength": 200}}
_ROUTES = (
    _Route("post", "/auth/register", "Make an account and sign it in", "accounts", _SESSION, 201,
           _NAMED),
    _Route("post", "/auth/login", "Sign in", "accounts", _SESSION, fields=_LOGIN),
    _Route("post", "/auth/refresh", "Get a new session; the refresh token is spent", "accounts",
           _SESSION, fields={"refreshToken": _REFRESH}),
    _Route("post", "/auth/logout", "End this session", "accounts", None, 204,
           {"refreshToken?": _REFRESH}, private=True),
    _Route("get", "/auth/me", "The account of the token", "accounts", _ACCOUNT, private=True),
    _Route("get", "/.well-known/jwks.json", "The public keys of our tokens", "accounts", _OBJECT),
    _Route("get", "/v3/catalog", "Every task type, with its schemas and price", "catalogue",
           _OBJECT, private=True),
    _Route("get", "/v3/tree", "The live tree of actors", "operations", _OBJECT, private=True),
    _Route("get", "/health", "Health of queues and services", "operations", _HEALTH),
    _Route("get", "/livez", "Whether the process runs", "operations", _OBJECT),
    _Route("get", "/startupz", "Whether the process has started", "operations", _OBJECT),
    _Route("get", "/readyz", "Whether tasks can be accepted", "operations", _OBJECT),
    _Route("get", "/metrics", "Prometheus metrics of this node", "operations", _TEXT,
           kind="text/plain"),
)  # fmt: skip


def example_request(spec: TaskSpec) -> dict[str, Any]:
    """Return a request body that works."""
    return {"taskType": spec.name, "parameters": spec.example or {}}


def catalog_entry(spec: TaskSpec) -> dict[str, Any]:
    """Return a task type as `GET /v3/catalog` shows it."""
    return {
        "taskType": spec.name,
        "agent": spec.agent,
        "team": spec.team,
        "summary": spec.summary,
        "costUsd": float(spec.cost.usd),
        "maxCostUsd": float(spec.cost.max_usd),
        "maxTokens": spec.cost.max_tokens,
        "timeoutMs": int(spec.timeout * 1000),
        "idempotent": spec.idempotent,
        "aliases": list(spec.aliases),
        "example": example_request(spec),
        "parameters": spec.params.model_json_schema(by_alias=True),
        "result": spec.result.model_json_schema(by_alias=True, mode="serialization"),
    }


def openapi(catalog: Catalog, version: str) -> dict[str, Any]:
    """Return the whole document."""
    paths: dict[str, Any] = {"/v3/tasks": {"post": _create(catalog)}}
    paths["/v3/tasks/{taskId}"] = {"get": _show(), "delete": _cancel()}
    for route in _ROUTES:
        paths.setdefault(route.path, {})[route.method] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Cartrita",
            "version": version,
            "description": "An actor-model runtime for AI agents.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(catalog),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _name(spec: TaskSpec) -> str:
    return "".join(part.title() for part in spec.name.replace("_", ".").split("."))


def _schemas(catalog: Catalog) -> dict[str, Any]:
    models: list[Any] = [(TaskRequest, "validation"), (TaskResponse, "serialization")]
    for spec in catalog.tasks.values():
        models += [(spec.params, "validation"), (spec.result, "serialization")]
    refs, definitions = models_json_schema(models, by_alias=True, ref_template=REF)
    schemas: dict[str, Any] = definitions["$defs"]
    request = schemas["TaskRequest"]
    for spec in catalog.tasks.values():
        schemas[_name(spec)] = {
            **request,
            "title": spec.name,
            "description": spec.summary,
            "properties": {
                **request["properties"],
                "taskType": {"const": spec.name, "type": "string"},
                "parameters": refs[spec.params, "validation"],
            },
            "examples": [example_request(spec)],
        }
    return {**schemas, **_plain_schemas()}


def _plain_schemas() -> dict[str, Any]:
    """Return the schemas of what is no pydantic model."""
    whole, real, yes = {"type": "integer"}, {"type": "number"}, {"type": "boolean"}
    account = _object({"id": _TEXT, "email": _TEXT, "name": _TEXT, "role": _TEXT})
    queue = _object({"depth": whole, "inFlight": whole, "capacity": whole, "utilization": real})
    problem = _object(
        {
            "type": {"type": "string", "format": "uri"},
            "title": _TEXT,
            "status": whole,
            "detail": _TEXT,
            "code": {"type": "string", "enum": [code.value for code in ErrorCode]},
            "retryable": yes,
            "traceId": _TEXT,
            "instance?": _TEXT,
            "reason?": _TEXT,
            "errors?": {"type": "array", "items": _object({"field": _TEXT, "message": _TEXT})},
        }
    )
    return {
        "AuthAccount": account,
        "AuthSession": _object(
            {"token": _TEXT, "refreshToken": _TEXT, "expiresIn": whole, "user": account}
        ),
        "HealthReport": _object(
            {
                "status": {"type": "string", "enum": ["healthy", "degraded", "unhealthy"]},
                "timestamp": {"type": "string", "format": "date-time"},
                "version": _TEXT,
                "uptime": real,
                "queues": {"type": "object", "additionalProperties": queue},
                "services": {"type": "object", "additionalProperties": _object({"ok": yes})},
            }
        ),
        "Problem": {**problem, "description": "RFC 9457 problem details."},
    }


def _object(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object; a name that ends in `?` may be missing."""
    return {
        "type": "object",
        "required": [name for name in fields if not name.endswith("?")],
        "properties": {name.rstrip("?"): schema for name, schema in fields.items()},
    }


def _content(schema: dict[str, Any], kind: str = _JSON) -> dict[str, Any]:
    return {"content": {kind: {"schema": schema}}}


def _answers(success: dict[str, Any]) -> dict[str, Any]:
    refused = {"description": "Refused; `code` says why.", **_content(_ref("Problem"), _PROBLEM)}
    return {**success, "4XX": refused, "5XX": refused}


def _create(catalog: Catalog) -> dict[str, Any]:
    names = {spec.name: REF.format(model=_name(spec)) for spec in catalog.tasks.values()}
    done = {"description": "Accepted and ended; see `status`.", **_content(_ref("TaskResponse"))}
    return {
        "operationId": "createTask",
        "summary": "Run a task",
        "tags": ["tasks"],
        "security": [{"bearer": []}],
        "parameters": [
            _header("Idempotency-Key", "Repeats are the same task. Up to 255 ASCII characters."),
            _header("Prefer", "`respond-async` answers 202 once the task is accepted."),
            _header("traceparent", "W3C trace context."),
        ],
        "requestBody": {
            "required": True,
            "description": "JSON on which all readers agree (RFC 7493): no name twice in one "
            "object, whole numbers within 64 bits, at most 200 levels. snake_case is taken, too.",
            "content": {
                _JSON: {
                    "schema": {
                        "oneOf": [{"$ref": ref} for ref in names.values()],
                        "discriminator": {"propertyName": "taskType", "mapping": names},
                    },
                    "examples": {
                        spec.name: {"summary": spec.summary, "value": example_request(spec)}
                        for spec in catalog.tasks.values()
                    },
                }
            },
        },
        "responses": _answers(
            {"200": done, "202": {"description": "Accepted.", **_content(_ref("TaskResponse"))}}
        ),
    }


def _show() -> dict[str, Any]:
    seconds = {"type": "number", "minimum": 0, "maximum": 60, "default": 0}
    wait = {"name": "wait", "in": "query", "description": "Seconds to wait.", "schema": seconds}
    done = {"description": "Where it stands.", **_content(_ref("TaskResponse"))}
    return _about_task("getTask", "Look at a task", [wait], {"200": done})


def _cancel() -> dict[str, Any]:
    body = _content(_object({"taskId": _TEXT, "cancelled": {"type": "boolean"}}))
    answers = {
        "200": {"description": "It had ended already.", **body},
        "202": {"description": "It is being cancelled.", **body},
    }
    return _about_task("cancelTask", "Cancel a task", [], answers)


def _about_task(
    operation: str, summary: str, parameters: list[Any], answers: dict[str, Any]
) -> dict[str, Any]:
    uuid = {"type": "string", "format": "uuid"}
    task_id = {"name": "taskId", "in": "path", "required": True, "schema": uuid}
    return {
        "operationId": operation,
        "summary": summary,
        "tags": ["tasks"],
        "security": [{"bearer": []}],
        "parameters": [task_id, *parameters],
        "responses": _answers(answers),
    }


def _header(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}


def _operation(route: _Route) -> dict[str, Any]:
    words = re.split(r"[/.-]+", route.path.strip("/."))
    body = _content(route.answer, route.kind) if route.answer else {}
    operation: dict[str, Any] = {
        "operationId": route.method + "".join(word.title() for word in words),
        "summary": route.summary,
        "tags": [route.tag],
        "responses": _answers({str(route.status): {"description": route.summary, **body}}),
    }
    if route.fields is not None:
        asked = {**_object(route.fields), "additionalProperties": False}
        operation["requestBody"] = {"required": bool(asked["required"]), **_content(asked)}
    if route.private:
        operation["security"] = [{"bearer": []}]
    return operation
