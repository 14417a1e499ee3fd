"""What the old compact orchestrator offered over HTTP, over the same tasks."""

import asyncio
import json
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.clock import derived_id
from cartrita.errors import CartritaError, ErrorCode, NotFound
from cartrita.protocol.envelope import Envelope, MessageType
from cartrita.protocol.task import Name, TaskRequest, TaskStatus
from cartrita.protocol.wire import WireModel
from cartrita.storage.listing import ListedTask, Wanted
from cartrita.telemetry.trace import trace_id
from serve_apps.asgi.guard import exchange_of
from serve_apps.asgi.messages import read_json, reply
from serve_apps.asgi.strict import parse, read
from serve_apps.gateway.gate import EVERY_TASK, gate_of, granted, submitter_of
from serve_apps.problems import MEDIA_TYPE, document

LAST = 20
_ENDED = frozenset(status for status in TaskStatus if status.terminal)
_MALFORMED = (
    ErrorCode.INVALID_MESSAGE_FORMAT,
    ErrorCode.INVALID_PARAMETERS,
    ErrorCode.INVALID_TASK_TYPE,
)


class BridgeRequest(WireModel):
    """A task as the compact orchestrator took it; `metadata` may hold anything."""

    task_type: Name
    task_id: UUID | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[Name, Any] = Field(default_factory=dict, max_length=64)
    preferred_agent: Name | None = None
    priority: int = Field(default=5, ge=0, le=10)
    deadline: datetime | None = None

    def task(self) -> TaskRequest:
        """Return the task that is asked for; what is no text in `metadata` becomes JSON."""
        told = self.model_dump(exclude={"metadata"})
        texts = {
            key: item if isinstance(item, str) else json.dumps(item)
            for key, item in self.metadata.items()
        }
        read(TaskRequest, {"taskType": "-", "parameters": {}, "metadata": texts})
        return TaskRequest(**told, metadata=texts)


async def healthz(_request: Request) -> Response:
    """GET /healthz: this process runs."""
    return reply({"status": "ok"})


async def bridge(request: Request) -> Response:
    """POST /v3/mcp/bridge: hand in a task; 202 with its id."""
    who = await submitter_of(request)
    trace = exchange_of(request).outlived()
    try:
        asked = parse(BridgeRequest, await read_json(request)).task()
        answer = await gate_of(request).tasks.submit(asked, who, wait=False, traceparent=trace)
    except CartritaError as error:
        if error.code not in _MALFORMED:
            raise
        return _refusal(error, request.url.path, trace_id(trace))
    task_id = answer["taskId"]
    body = {"success": True, "id": derived_id(task_id, "request"), "task_id": task_id}
    return reply(body, 202, {"Location": f"/v3/tasks/{task_id}"})


def _refusal(error: CartritaError, path: str, trace: str) -> Response:
    """Return a problem that its old clients can read, too: always 400, issues as a text."""
    body = document(error, status=400, instance=path, trace_id=trace)
    issues = [
        {"path": e["field"].split("."), "message": e["message"]} for e in body.get("errors", ())
    ]
    told = json.dumps(issues) if issues else body["detail"]
    return Response(to_json({**body, "success": False, "error": told}), 400, None, MEDIA_TYPE)


async def last_responses(request: Request) -> Response:
    """GET /v3/mcp/last-responses: the responses of one's last tasks that ended, as envelopes."""
    who = await granted(request, EVERY_TASK)
    gate = gate_of(request)
    wanted = Wanted(None if who.admin else who.user, _ENDED)
    ended = await gate.listing.page(wanted, LAST, None)
    responses = await asyncio.gather(
        *(gate.tasks.get(task.task_id, who) for task in ended), return_exceptions=True
    )
    told = []
    for task, response in zip(ended, responses, strict=True):
        if isinstance(response, dict):
            told.append(_envelope(task, response))
        elif not isinstance(response, NotFound):  # one that was forgotten in between
            raise response
    return reply({"success": True, "data": told})


def _envelope(task: ListedTask, response: dict[str, Any]) -> dict[str, Any]:
    envelope = Envelope(
        message_type=MessageType.TASK_RESPONSE,
        payload=response,
        id=UUID(derived_id(task.task_id, "response")),
        correlation_id=task.task_id,
        trace_id=response.get("traceId"),
        sender="orchestrator",
        recipient=task.user,
        created_at=task.finished_at,
    )
    return envelope.to_wire()


ROUTES = [
    Route("/healthz", healthz, methods=["GET"]),
    Route("/v3/mcp/bridge", bridge, methods=["POST"]),
    Route("/v3/mcp/last-responses", last_responses, methods=["GET"]),
]
