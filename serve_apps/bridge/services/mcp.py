"""Tasks of any type, as v2's MCP routes asked for them."""

from typing import Any

from cartrita.clock import iso
from cartrita.errors import (
    CartritaError,
    InvalidMessage,
    InvalidParameters,
    InvalidTaskType,
)
from cartrita.protocol.task import TaskStatus
from serve_apps.bridge.calls import Call, failure

_FAILED = (InvalidMessage, InvalidParameters, InvalidTaskType)
"""What v2 answered with 200 and `failed`, as it did when a task failed."""


async def task(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Run a task and tell what became of it."""
    task_type = str(params["taskType"])
    told: dict[str, Any] = {"taskType": task_type, "processedBy": "MCP-System"}
    try:
        ran = await call.run(
            task_type, params.get("parameters") or {}, session=params.get("session")
        )
        told |= {"status": "completed", "result": ran.result}
    except CartritaError as error:
        if "task" not in call.document and not isinstance(error, _FAILED):
            raise  # it was not accepted: too many, no money, nobody there
        told |= {"status": "failed", "error": error.message, "code": error.code}
    return {**told, "at": iso(call.now)}


async def order(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Have a task accepted, without waiting for it."""
    response = await call.submit(
        str(params["taskType"]),
        params.get("parameters") or {},
        wait=False,
        priority=params.get("priority"),
    )
    call.headers["X-Task-ID"] = response["taskId"]
    status = TaskStatus(response["status"])
    if status.terminal and status is not TaskStatus.COMPLETED:
        raise failure(response)
    return response
