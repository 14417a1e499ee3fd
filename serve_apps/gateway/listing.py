"""Lists of tasks over HTTP."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cartrita.clock import iso
from cartrita.storage.listing import ListedTask
from serve_apps.asgi.messages import reply
from serve_apps.gateway.gate import EVERY_TASK, gate_of, granted
from serve_apps.gateway.query import cursor_at, limit_of, place_after, wanted_of


async def listing(request: Request) -> Response:
    """GET /v3/tasks: one's own tasks, the newest first; administrators see everybody's."""
    who = await granted(request, EVERY_TASK)
    wanted, limit = wanted_of(request, who), limit_of(request)
    rows = await gate_of(request).listing.page(wanted, limit, place_after(request))
    after = cursor_at(rows[-1].place) if len(rows) == limit else None
    return reply({"tasks": [_row(task) for task in rows], "next": after})


def _row(task: ListedTask) -> dict[str, Any]:
    finished = task.finished_at
    return {
        "taskId": task.task_id,
        "taskType": task.task_type,
        "status": task.status,
        "priority": task.priority,
        "user": task.user,
        "tenant": task.tenant,
        "sessionId": task.session,
        "acceptedAt": iso(task.accepted_at.timestamp()),
        "finishedAt": iso(finished.timestamp()) if finished else None,
        "errorCode": task.error_code,
        "reason": task.reason,
        "costUsd": task.cost_usd,
        "tokensUsed": task.tokens,
        "parent": task.parent,
        "retryOf": task.retry_of,
    }
