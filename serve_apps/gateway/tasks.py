"""Tasks over HTTP: create, look at, cancel."""

from typing import Any
from uuid import UUID

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.errors import InvalidParameters
from cartrita.protocol.task import TaskRequest
from cartrita.telemetry.trace import trace_id
from serve_apps.asgi import header_text, parse, read_json
from serve_apps.gateway.gate import gate_of, principal_of

JSON = "application/json"
LONGEST_KEY = 255
LONGEST_WAIT = 60.0
"""Seconds a look at a task may wait for its end."""


async def create(request: Request) -> Response:
    """POST /v3/tasks: run a task and answer with its response."""
    who = await principal_of(request)
    asked = parse(TaskRequest, await read_json(request))
    key = header_text(request, "idempotency-key", _is_key)
    wait = "respond-async" not in request.headers.get("prefer", "").lower()
    answer = await gate_of(request).tasks.submit(
        asked, who, wait=wait, idempotency_key=key, traceparent=request.scope["traceparent"]
    )
    if wait:
        return Response(to_json(answer), 200, media_type=JSON)
    answer.setdefault("traceId", trace_id(request.scope["traceparent"]))
    headers = {
        "Location": f"/v3/tasks/{answer['taskId']}",
        "Preference-Applied": "respond-async",
    }
    return Response(to_json(answer), 202, headers, JSON)


async def show(request: Request) -> Response:
    """GET /v3/tasks/{id}: where a task stands; `?wait=` seconds for its end."""
    who = await principal_of(request)
    answer = await gate_of(request).tasks.get(_task_id(request), who, _wait(request))
    return Response(to_json(answer), 200, media_type=JSON)


async def cancel(request: Request) -> Response:
    """DELETE /v3/tasks/{id}: cancel a task that has not ended."""
    who = await principal_of(request)
    done = await gate_of(request).tasks.cancel(_task_id(request), who)
    body: dict[str, Any] = {"taskId": _task_id(request), "cancelled": done}
    return Response(to_json(body), 202 if done else 200, media_type=JSON)


def _is_key(text: str) -> bool:
    return 0 < len(text) <= LONGEST_KEY and text.isprintable()


def _task_id(request: Request) -> str:
    text = request.path_params["task_id"]
    try:
        return str(UUID(text))
    except ValueError:
        raise InvalidParameters(
            "A task id is a UUID.", fields=[("taskId", "is not a UUID")]
        ) from None


def _wait(request: Request) -> float:
    text = request.query_params.get("wait", "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        limit = f"takes 0 to {LONGEST_WAIT:g} seconds"
        raise InvalidParameters(f"'wait' {limit}.", fields=[("wait", limit)])
    return seconds


ROUTES = [
    Route("/v3/tasks", create, methods=["POST"]),
    Route("/v3/tasks/{task_id}", show, methods=["GET"]),
    Route("/v3/tasks/{task_id}", cancel, methods=["DELETE"]),
]
