"""What was said to Cartrita, and what came of tasks, in v2's shapes."""

import asyncio
from typing import Any

from cartrita.clock import iso
from cartrita.errors import InvalidParameters, NotFound
from cartrita.protocol.task import TaskStatus
from cartrita.storage.listing import ListedTask, Wanted
from serve_apps.bridge.calls import Call
from serve_apps.bridge.services.inputs import storable
from serve_apps.bridge.services.permits import permitted
from serve_apps.gateway.gate import EVERY_TASK

CHAT = "tasks:langchain.chat.execute"
FORGET = "tasks:langchain.chat.forget"

MOST = 200
"""Messages of a page."""

MOST_TASKS = 50
"""Tasks of a page: each is looked up by itself."""

DEEPEST = 1_000
"""Tasks that may be left out before a page."""


async def page(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Return messages, oldest first."""
    who = permitted(call, CHAT)
    limit, offset = min(params.get("limit", 50), MOST), params.get("offset", 0)
    said = await call.gate.history.page(who.tenant, who.user, limit, offset)
    rows = [
        {
            "id": one.number,
            "speaker": one.role,
            "text": one.content,
            "created_at": iso(one.said_at),
            "conversation_title": one.opening,
            "conversation_id": one.session,
        }
        for one in said
    ]
    return {"conversations": rows, "count": len(rows), "limit": limit, "offset": offset}


async def clear(call: Call, _params: dict[str, Any]) -> int:
    """Delete all conversations and return how many there were."""
    who = permitted(call, FORGET)
    return await call.gate.history.clear(who.tenant, who.user)


async def totals(call: Call, _params: dict[str, Any]) -> dict[str, Any]:
    """Count; PostgreSQL's driver for v2 gave counts as texts."""
    who = permitted(call, CHAT)
    found = await call.gate.history.totals(who.tenant, who.user)
    first, last = found.first_at, found.last_at
    return {
        "total_messages": str(found.asked + found.answered),
        "user_messages": str(found.asked),
        "cartrita_messages": str(found.answered),
        "first_conversation": None if first is None else iso(first),
        "latest_conversation": None if last is None else iso(last),
    }


async def structured(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Return a user's tasks, the newest first, with what came of them."""
    who = permitted(call, EVERY_TASK)
    storable(params)
    limit, offset = min(params.get("limit", 20), MOST_TASKS), params.get("offset", 0)
    if offset > DEEPEST:
        raise InvalidParameters(f"`offset` may be {DEEPEST} at most: ask /v3/tasks for more.")
    wanted = Wanted(
        user=who.user, task_type=params.get("task"), statuses=_statuses(params.get("status"))
    )
    tasks = await call.gate.listing.page(wanted, limit + offset, None)
    rows = await asyncio.gather(*(_row(call, task) for task in tasks[offset:]))
    return {"count": len(rows), "limit": limit, "offset": offset, "data": list(rows)}


def _statuses(told: Any) -> frozenset[TaskStatus] | None:
    if told is None:
        return None
    try:
        return frozenset({TaskStatus(str(told).upper())})
    except ValueError:
        known = ", ".join(status.lower() for status in TaskStatus)
        raise InvalidParameters(
            f"There is no status {str(told)[:50]!r}; there are {known}.",
            fields=[("status", "is unknown")],
        ) from None


async def _row(call: Call, task: ListedTask) -> dict[str, Any]:
    try:
        response = await call.gate.tasks.get(task.task_id, call.person)
    except NotFound:  # forgotten since the list was made
        response = {}
    told = {
        "task": task.task_type,
        "status": str(response.get("status") or task.status).lower(),
        "data": response.get("result"),
        "error": response.get("errorMessage") or task.error_code,
    }
    at = iso(task.accepted_at.timestamp())
    return {"id": task.task_id, "created_at": at, "structured": [told]}
