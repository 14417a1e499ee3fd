"""Quarantined tasks over HTTP: list, inspect, retry, discard."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.protocol.wire import WireModel
from serve_apps.asgi.guard import exchange_of
from serve_apps.asgi.messages import read_json, reply
from serve_apps.asgi.strict import parse
from serve_apps.gateway.gate import EVERY_TASK, gate_of, granted, principal_of, submitter_of
from serve_apps.gateway.query import limit_of, task_before, task_id_of


class Retry(WireModel):
    """What is different this time."""

    parameters: dict[str, Any] | None = None


async def listing(request: Request) -> Response:
    """GET /v3/quarantine: tasks that wait for a decision, newest first."""
    who = await granted(request, EVERY_TASK)
    limit, before = limit_of(request), task_before(request)
    rows = await gate_of(request).quarantine.list(who, limit, before)
    return reply({"tasks": rows, "next": rows[-1]["taskId"] if len(rows) == limit else None})


async def one(request: Request) -> Response:
    """GET and DELETE /v3/quarantine/{id}, one route for both as with tasks."""
    return await (discard if request.method == "DELETE" else inspect)(request)


async def inspect(request: Request) -> Response:
    """GET /v3/quarantine/{id}: all that is known of a task."""
    who = await principal_of(request)
    return reply(await gate_of(request).quarantine.inspect(task_id_of(request), who))


async def discard(request: Request) -> Response:
    """DELETE /v3/quarantine/{id}: give a task up for good."""
    who = await principal_of(request)
    task_id = task_id_of(request)
    done = await gate_of(request).quarantine.discard(task_id, who)
    return reply({"taskId": task_id, "discarded": done})


async def retry(request: Request) -> Response:
    """POST /v3/quarantine/{id}/retry: run it as a new task."""
    who = await submitter_of(request)
    task_id = task_id_of(request)
    said = exchange_of(request).has_body
    asked = parse(Retry, await read_json(request)) if said else Retry()
    answer = await gate_of(request).quarantine.retry(task_id, who, asked.parameters)
    return reply(answer, 202, {"Location": f"/v3/tasks/{answer['taskId']}"})


ROUTES = [
    Route("/v3/quarantine", listing, methods=["GET"]),
    Route("/v3/quarantine/{task_id}", one, methods=["GET", "DELETE"]),
    Route("/v3/quarantine/{task_id}/retry", retry, methods=["POST"]),
]
