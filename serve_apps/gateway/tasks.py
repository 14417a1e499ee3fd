"""Tasks over HTTP: create, list, look at, cancel."""

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.protocol.task import TaskRequest, TaskStatus
from cartrita.telemetry.trace import trace_id
from serve_apps.asgi.guard import exchange_of
from serve_apps.asgi.messages import header_text, read_json, reply
from serve_apps.asgi.strict import parse
from serve_apps.gateway.freshness import cache_use, freshened
from serve_apps.gateway.gate import gate_of, principal_of, submitter_of
from serve_apps.gateway.listing import listing
from serve_apps.gateway.query import patience_of, task_id_of, wait_of

LONGEST_KEY = 255
_KEY = re.compile(rf"[ -~]{{1,{LONGEST_KEY}}}")


async def collection(request: Request) -> Response:
    """GET and POST /v3/tasks, one route for both as below."""
    return await (create if request.method == "POST" else listing)(request)


async def create(request: Request) -> Response:
    """POST /v3/tasks: run a task and answer with its response.

    With `Prefer: respond-async` the answer is 202 once it is accepted; with `?wait=` seconds
    or `Prefer: wait=` it is 202 when the task has not ended by then. `Cache-Control: no-cache`
    has the work done anew, `no-store` also keeps the answer nowhere.
    """
    who = await submitter_of(request)
    exchange = exchange_of(request)
    patience = patience_of(request)
    asked = freshened(parse(TaskRequest, await read_json(request)), cache_use(request))
    key = header_text(request, "Idempotency-Key", is_key)
    tasks = gate_of(request).tasks
    answer = await tasks.submit(
        asked, who, wait=patience is None, idempotency_key=key, traceparent=exchange.traceparent
    )
    if TaskStatus(answer["status"]) is not TaskStatus.COMPLETED:
        exchange.outlived()
    if patience and not TaskStatus(answer["status"]).terminal:
        answer = await tasks.get(answer["taskId"], who, patience)
    if patience != 0 and TaskStatus(answer["status"]).terminal:
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
    return reply(await gate_of(request).tasks.get(task_id_of(request), who, wait_of(request)))


async def cancel(request: Request) -> Response:
    """DELETE /v3/tasks/{id}: cancel a task that has not ended."""
    who = await principal_of(request)
    task_id = task_id_of(request)
    done = await gate_of(request).tasks.cancel(task_id, who)
    return reply({"taskId": task_id, "cancelled": done}, 202 if done else 200)


def is_key(text: str) -> bool:
    """Tell whether a text can be an idempotency key."""
    return _KEY.fullmatch(text) is not None


ROUTES = [
    Route("/v3/tasks", collection, methods=["GET", "POST"]),
    Route("/v3/tasks/{task_id}", one, methods=["GET", "DELETE"]),
]
