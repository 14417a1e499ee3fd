"""The API as OpenAPI 3.1, from the declarations."""

from typing import Any

from pydantic.json_schema import models_json_schema

from cartrita.catalog import Catalog
from cartrita.declare import TaskSpec
from cartrita.errors import ErrorCode
from cartrita.protocol.task import TaskRequest, TaskResponse

REF = "#/components/schemas/{model}"
_JSON = "application/json"
_PROBLEM = "application/problem+json"

# Of the routes that are not tasks: method, path, summary, tag, status, request body's fields,
# and whether a token is needed.
_ROUTES: tuple[tuple[str, str, str, str, int, dict[str, str] | None, bool], ...] = (
    ("post", "/auth/register", "Make an account and sign it in", "accounts", 201,
     {"email": "", "password": "", "name?": ""}, False),
    ("post", "/auth/login", "Sign in", "accounts", 200, {"email": "", "password": ""}, False),
    ("post", "/auth/refresh", "Get a new session; the refresh token is spent", "accounts", 200,
     {"refreshToken": ""}, False),
    ("post", "/auth/logout", "End this session", "accounts", 204, {"refreshToken?": ""}, True),
    ("get", "/auth/me", "The account of the token", "accounts", 200, None, True),
    ("get", "/.well-known/jwks.json", "The public keys of our tokens", "accounts", 200, None,
     False),
    ("get", "/v3/catalog", "Every task type, with its schemas and price", "catalogue", 200, None,
     True),
    ("get", "/v3/tree", "The live tree of actors", "operations", 200, None, True),
    ("get", "/health", "Health of queues and services", "operations", 200, None, False),
    ("get", "/livez", "Whether the process runs", "operations", 200, None, False),
    ("get", "/readyz", "Whether tasks can be accepted", "operations", 200, None, False),
    ("get", "/metrics", "Prometheus metrics of this node", "operations", 200, None, False),
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
    for method, path, *rest in _ROUTES:
        paths.setdefault(path, {})[method] = _operation(method, path, *rest)
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
    schemas["Problem"] = _problem_schema()
    return schemas


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "RFC 9457 problem details.",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "instance": text,
            "code": {"type": "string", "enum": [code.value for code in ErrorCode]},
            "reason": text,
            "retryable": {"type": "boolean"},
            "traceId": text,
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["field", "message"],
                    "properties": {"field": text, "message": text},
                },
            },
        },
    }


def _content(schema: dict[str, Any], kind: str = _JSON) -> dict[str, Any]:
    return {"content": {kind: {"schema": schema}}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": REF.format(model=name)}


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
            _header("Idempotency-Key", "Repeats within 24 h are the same task."),
            _header("Prefer", "`respond-async` answers 202 once the task is accepted."),
            _header("traceparent", "W3C trace context."),
        ],
        "requestBody": {
            "required": True,
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
    body = _content({"type": "object"})
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


def _operation(method: str, path: str, *facts: Any) -> dict[str, Any]:
    summary, tag, status, fields, private = facts
    words = [word for word in path.replace(".", "/").replace("-", "/").split("/") if word]
    operation: dict[str, Any] = {
        "operationId": method + "".join(word.title() for word in words),
        "summary": summary,
        "tags": [tag],
        "responses": _answers({str(status): {"description": summary}}),
    }
    if fields is not None:
        operation["requestBody"] = {
            "required": not all(name.endswith("?") for name in fields),
            **_content(
                {
                    "type": "object",
                    "additionalProperties": False,
                    "required": [name for name in fields if not name.endswith("?")],
                    "properties": {name.rstrip("?"): {"type": "string"} for name in fields},
                }
            ),
        }
    if private:
        operation["security"] = [{"bearer": []}]
    return operation
