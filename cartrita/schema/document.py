"""The whole API as OpenAPI 3.1."""

from typing import Any

from pydantic.json_schema import models_json_schema

from cartrita.catalog import Catalog
from cartrita.declare import TaskSpec
from cartrita.external.registration import Registration
from cartrita.protocol.command import (
    ARGUMENTS,
    SUMMARY,
    CommandName,
    CommandRequest,
    ConfigArguments,
)
from cartrita.protocol.task import TaskRequest, TaskResponse, TaskStatus
from cartrita.schema.compact import bridged
from cartrita.schema.links import next_page, to_task
from cartrita.schema.refusals import (
    PRIVATE,
    READING,
    SUBMITTING,
    header_parts,
    headers,
    refused,
    response_parts,
)
from cartrita.schema.routes import ROUTES, header, operation
from cartrita.schema.shapes import (
    CURSOR,
    JSON,
    LABEL,
    LIMIT,
    MSGPACK,
    REF,
    SECURITY,
    TASK_ID,
    TEXT,
    TIME,
    content,
    plain_schemas,
    ref,
    shape,
)
from cartrita.schema.stories import story_schemas

INNER = "#/$defs/"
_PLACE = (
    r"^[0-9]{1,11}\.[0-9]{1,6}_"
    "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
)


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
        "delivery": spec.delivery.value,
        "effects": list(spec.effects),
        "streams": spec.streams,
        "takesStream": spec.takes_stream,
        "aliases": list(spec.aliases),
        "example": example_request(spec),
        "parameters": spec.params.model_json_schema(by_alias=True),
        "result": spec.result.model_json_schema(by_alias=True, mode="serialization"),
    }


def openapi(catalog: Catalog, version: str) -> dict[str, Any]:
    """Return the whole document."""
    paths: dict[str, Any] = {"/v3/tasks": {"get": _list(), "post": _create(catalog)}}
    paths["/v3/tasks/{taskId}"] = {"get": _show(), "delete": _cancel()}
    paths["/v3/tasks/{taskId}/events"] = {"get": _events()}
    paths["/v3/tasks/{taskId}/story"] = {"get": _story()}
    paths["/v3/tasks/{taskId}/cost"] = {"get": _cost()}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method] = operation(route)
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
            "responses": response_parts(),
            "headers": header_parts(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token, or an API key.",
                },
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _name(spec: TaskSpec) -> str:
    return "".join(part.title() for part in spec.name.replace("_", ".").split("."))


def _schemas(catalog: Catalog) -> dict[str, Any]:
    models: list[Any] = [(TaskRequest, "validation"), (TaskResponse, "serialization")]
    models += [(model, "validation") for model in (CommandRequest, *ARGUMENTS.values())]
    models += [(Registration, "validation")]
    for spec in catalog.tasks.values():
        if spec.carrier is None:
            models += [(spec.params, "validation"), (spec.result, "serialization")]
    refs, definitions = models_json_schema(models, by_alias=True, ref_template=REF)
    schemas: dict[str, Any] = definitions["$defs"]
    request = schemas["TaskRequest"]
    metadata = request["properties"]["metadata"]
    request["properties"]["metadata"] = {**metadata, "propertyNames": LABEL}
    taken: dict[str, Any] = {}
    for spec in catalog.tasks.values():
        if spec.carrier is None:
            parameters = refs[spec.params, "validation"]
        else:
            parameters, more = _embedded(spec)
            schemas |= more
        taken[spec.name] = parameters
        schemas[_name(spec)] = {
            **request,
            "title": spec.name,
            "description": spec.summary,
            "properties": {
                **request["properties"],
                "taskType": {"const": spec.name, "type": "string"},
                "parameters": parameters,
            },
            "examples": [example_request(spec)],
        }
    commands = _command_schemas(schemas.pop("CommandRequest"), refs)
    old = {"Bridged": bridged(catalog, taken)}
    return {**schemas, **commands, **old, **plain_schemas(), **story_schemas()}


def _embedded(spec: TaskSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of an external agent's parameters, and what it refers to.

    What stands under its `$defs` becomes schemas of the document, where `$ref` finds them.
    """
    schema = {**spec.params.model_json_schema()}
    inner, prefix = schema.pop("$defs", {}), f"{_name(spec)}."
    schema.pop("$schema", None)
    more = {prefix + name: _moved(body, prefix) for name, body in inner.items()}
    moved: dict[str, Any] = _moved(schema, prefix)
    return moved, more


def _moved(value: Any, prefix: str) -> Any:
    if isinstance(value, list):
        return [_moved(item, prefix) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _moved(item, prefix) for key, item in value.items()}
    target = value.get("$ref")
    if isinstance(target, str) and target.startswith(INNER):
        found["$ref"] = REF.format(model=prefix + target.removeprefix(INNER))
    return found


def _command_schemas(request: dict[str, Any], refs: Any) -> dict[str, Any]:
    """Return the schema of a command: one of several, each with arguments of its own."""
    found = {}
    for command, model in ARGUMENTS.items():
        arguments = {**refs[model, "validation"], **_BOUNDS.get(command, {})}
        own = {"command": {"const": command.value}, "arguments": arguments}
        found[f"Command.{command}"] = {
            **request,
            "title": command.value,
            "description": SUMMARY[command],
            "properties": {**request["properties"], **own},
        }
        if command is CommandName.CONFIG_UPDATE:
            found[f"Command.{command}"]["required"] = [*request["required"], "arguments"]
    mapping = {name.partition(".")[2]: REF.format(model=name) for name in found}
    found["Command"] = {
        "oneOf": [{"$ref": target} for target in mapping.values()],
        "discriminator": {"propertyName": "command", "mapping": mapping},
    }
    return found


_NULL = {"type": "null"}
_SETTINGS = list(ConfigArguments.model_json_schema()["properties"])
_EITHER = {"anyOf": [{"properties": {name: _NULL}} for name in ("by", "to")]}
_BOUNDS: dict[CommandName, dict[str, Any]] = {
    CommandName.SCALE_UP: _EITHER,
    CommandName.SCALE_DOWN: _EITHER,
    CommandName.CONFIG_UPDATE: {
        "anyOf": [{"required": [name], "properties": {name: {"not": _NULL}}} for name in _SETTINGS]
    },
}
"""What goes with what in a command's arguments."""


def _create(catalog: Catalog) -> dict[str, Any]:
    names = {spec.name: REF.format(model=_name(spec)) for spec in catalog.tasks.values()}
    schema = {
        "oneOf": [{"$ref": ref} for ref in names.values()],
        "discriminator": {"propertyName": "taskType", "mapping": names},
    }
    examples = {
        spec.name: {"summary": spec.summary, "value": example_request(spec)}
        for spec in catalog.tasks.values()
    }
    kinds = {MSGPACK: {"schema": schema}, JSON: {"schema": schema, "examples": examples}}
    done, later = "Accepted and ended; see `status`.", "Accepted, and not waited for any longer."
    answer = {**content(ref("TaskResponse")), "links": to_task("/taskId")}
    asked = [
        header("Idempotency-Key", "Repeats are the same task. Up to 250 ASCII characters."),
        header(
            "Prefer",
            "`respond-async` answers 202 once the task is accepted, `wait=10` if it has not "
            "ended after so many seconds.",
        ),
        header("Cache-Control", "`no-cache` works anew, `no-store` also keeps no answer."),
        header("traceparent", "W3C trace context."),
        _wait(),
    ]
    return {
        **_told("createTask", "Run a task"),
        "parameters": asked,
        "requestBody": {
            "required": True,
            "description": "JSON on which all readers agree (RFC 7493): no name twice in one "
            "object, whole numbers within 64 bits and without a point, at most 200 levels. "
            'snake_case is taken, too. In place of parameters, `{"$blob": id}` names a blob of '
            "yours that holds them.",
            "content": kinds,
        },
        "responses": {
            "200": {"description": done, "headers": _limits(), **answer},
            "202": {"description": later, "headers": _limits("Location"), **answer},
            **refused(*PRIVATE, *READING, *SUBMITTING, 404),
        },
    }


def _told(operation: str, summary: str) -> dict[str, Any]:
    told = {"operationId": operation, "summary": summary, "tags": ["tasks"]}
    return {**told, "security": SECURITY}


def _limits(*more: str) -> dict[str, Any]:
    return headers("RateLimit", "RateLimit-Policy", *more)


def _list() -> dict[str, Any]:
    one = {"type": "string", "enum": list(TaskStatus)}
    statuses = {"type": "array", "minItems": 1, "items": one}
    asked = {"status": statuses, "taskType": LABEL, "sessionId": LABEL, "since": TIME}
    place = {**TEXT, "pattern": _PLACE, "description": "The page before's `next`."}
    more = {
        "until": {**TIME, "description": "Accepted before then."},
        "user": {**LABEL, "description": "Whose; for administrators, others see their own."},
    }
    names = {**asked, **more, "limit": LIMIT, "cursor": place}
    queries = [{"name": name, "in": "query", "schema": told} for name, told in names.items()]
    queries[0] |= {"style": "form", "explode": False}
    page = {"description": "One's own tasks; everybody's for administrators. It may lag for a "
            "moment.", "headers": _limits(), **content(ref("TaskList"))}  # fmt: skip
    page["links"] = {**to_task("/tasks/0/taskId"), **next_page("listTasks", "cursor")}
    return {
        **_told("listTasks", "List tasks, the newest first"),
        "parameters": queries,
        "responses": {"200": page, **refused(*PRIVATE, 422)},
    }


def _wait() -> dict[str, Any]:
    seconds = {"type": "number", "minimum": 0, "maximum": 60}
    text = "Seconds to wait for its end."
    return {"name": "wait", "in": "query", "description": text, "schema": seconds}


def _show() -> dict[str, Any]:
    done = {"description": "Where it stands.", **content(ref("TaskResponse"))}
    done["links"] = to_task("/taskId")
    return _about_task("getTask", "Look at a task", [_wait()], {"200": done})


def _cancel() -> dict[str, Any]:
    body = content(shape({"taskId": TEXT, "cancelled": {"type": "boolean"}}))
    answers = {
        "200": {"description": "It had ended already.", **body},
        "202": {"description": "It is being cancelled.", **body},
    }
    for answer in answers.values():
        answer["links"] = to_task("/taskId")
    return _about_task("cancelTask", "Cancel a task", [], answers)


def _events() -> dict[str, Any]:
    event = {**TEXT, "contentMediaType": JSON, "contentSchema": ref("TaskEvent")}
    stream = {
        "description": "Server-sent events: `id` is the cursor, `event` the type, `data` the "
        "whole event. Silence is broken by comments.",
        **content(shape({"id": CURSOR, "event": TEXT, "data": event}), "text/event-stream"),
    }
    after = {"name": "after", "in": "query", "description": "A cursor.", "schema": CURSOR}
    last = header("Last-Event-ID", "Go on behind this cursor; goes before `after`.")
    asked = [{**last, "schema": CURSOR}, after]
    answers = {"200": stream, "204": {"description": "There is nothing more behind that cursor."}}
    return _about_task("readTaskEvents", "Follow a task's events to its end", asked, answers)


def _story() -> dict[str, Any]:
    until = {"name": "until", "in": "query", "description": "A cursor.", "schema": CURSOR}
    told = {
        "description": "All that the journal knows; with `until`, how it stood by then.",
        **content(ref("TaskStory")),
    }
    return _about_task("readTaskStory", "Replay a task's whole story", [until], {"200": told})


def _cost() -> dict[str, Any]:
    told = {"description": "The steps add up to the whole.", **content(ref("TaskCost"))}
    return _about_task("readTaskCost", "Tell what each step of a task cost", [], {"200": told})


def _about_task(
    operation: str, summary: str, parameters: list[Any], successes: dict[str, Any]
) -> dict[str, Any]:
    told = {status: {"headers": _limits(), **answer} for status, answer in successes.items()}
    return {
        **_told(operation, summary),
        "parameters": [TASK_ID, *parameters],
        "responses": {**told, **refused(*PRIVATE, 404, 422)},
    }
