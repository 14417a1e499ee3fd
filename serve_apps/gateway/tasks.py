"""Tasks over HTTP: create, look at, cancel."""

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.errors import InvalidParameters
from cartrita.protocol.task import TaskRequest
from cartrita.telemetry.trace import trace_id
from serve_apps.asgi.guard import exchange_of
from serve_apps.asgi.messages import header_text, read_json, reply
from serve_apps.asgi.strict import parse
from serve_apps.gateway.gate import gate_of, principal_of

LONGEST_KEY = 255
LONGEST_WAIT = 60.0
"""Seconds a look at a task may wait for its end."""

_KEY = re.compile(rf"[ -~]{{1,{LONGEST_KEY}}}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SECONDS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,9})?")


async def create(request: Request) -> Response:
    """POST /v3/tasks: run a task and answer with its response."""
    who = await principal_of(request)
    exchange = exchange_of(request)
    asked = parse(TaskRequest, await read_json(request))
    key = header_text(request, "Idempotency-Key", _is_key)
    wait = b"respond-async" not in exchange.headers.get(b"prefer", b"").lower()
    answer = await gate_of(request).tasks.submit(
        asked, who, wait=wait, idempotency_key=key, traceparent=exchange.traceparent
    )
    if wait:
        return reply(answer)
    headers = {
        "Location": f"/v3/tasks/{answer['taskId']}",
        "Preference-Applied": "respond-async",
    }
    return reply({"traceId": trace_id(exchange.traceparent), **answer}, 202, headers)


async def one(request: Request) -> Response:
    """GET and DELETE /v3/tasks/{id}.

    One route for both: with one each, the router would name only the first in `Allow`.
    """
    return await (cancel if request.method == "DELETE" else show)(request)


async def show(request: Request) -> Response:
    """GET /v3/tasks/{id}: where a task stands; `?wait=` seconds for its end."""
    who = await principal_of(request)
    return reply(await gate_of(request).tasks.get(_task_id(request), who, _wait(request)))


async def cancel(request: Request) -> Response:
    """DELETE /v3/tasks/{id}: cancel a task that has not ended."""
    who = await principal_of(request)
    task_id = _task_id(request)
    done = await gate_of(request).tasks.cancel(task_id, who)
    return reply({"taskId": task_id, "cancelled": done}, 202 if done else 200)


def _is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


def _task_id(request: Request) -> str:
    text: str = request.path_params["task_id"]
    if not _UUID.fullmatch(text):
        raise InvalidParameters("A task id is a UUID.", fields=[("taskId", "is not a UUID")])
    return text.lower()


def _wait(request: Request) -> float:
    text = request.query_params.get("wait", "0")
    if not _SECONDS.fullmatch(text) or float(text) > LONGEST_WAIT:
        limit = f"takes 0 to {LONGEST_WAIT:g} seconds"
        raise InvalidParameters(f"'wait' {limit}.", fields=[("wait", limit)])
    return float(text)


ROUTES = [
    Route("/v3/tasks", create, methods=["POST"]),
    Route("/v3/tasks/{task_id}", one, methods=["GET", "DELETE"]),
]
