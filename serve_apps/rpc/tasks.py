"""Tasks over gRPC: one at a time, or many in one stream."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from cartrita.protocol.envelope import MessageType
from cartrita.protocol.task import TaskRequest
from cartrita.telemetry.log import traceparent
from serve_apps.gateway.freshness import freshened, use_of
from serve_apps.gateway.sockets.bounds import Bounds
from serve_apps.gateway.sockets.session import Session
from serve_apps.rpc.caller import Caller
from serve_apps.rpc.schema import message
from serve_apps.rpc.stream import Stream
from serve_apps.rpc.values import chunk_of, request_of, response_of

CURSOR = "cursor"
"""The entry of a request's metadata behind which a task's events go on."""


async def submit(asked: TaskRequest, caller: Caller, *, wait: bool) -> dict[str, Any]:
    """Submit a task.

    Metadata may have `idempotency-key`, `traceparent` and `cache-control`, as headers do. One
    that is waited for is the whole call, and of its trace; those of a stream have their own.
    """
    return await caller.gate.tasks.submit(
        freshened(asked, use_of(caller.metadata.get("cache-control"))),
        caller.who,
        wait=wait,
        idempotency_key=caller.metadata.get("idempotency-key") if wait else None,
        traceparent=traceparent() if wait else caller.metadata.get("traceparent"),
    )


async def process_task(request: Any, caller: Caller) -> Any:
    """MCPSupervisorService.ProcessTask."""
    answer = await submit(request_of(request.task), caller, wait=True)
    return message("ProcessTaskResponse")(result=response_of(answer))


async def execute_task(request: Any, caller: Caller) -> Any:
    """MCPAgentService.ExecuteTask."""
    answer = await submit(request_of(request.task), caller, wait=True)
    return message("ExecuteTaskResponse")(result=response_of(answer))


async def delegate_task(request: Any, caller: Caller) -> Any:
    """MCPSupervisorService.DelegateTask."""
    asked = request_of(request.task)
    if request.target_agent_id:
        asked = asked.model_copy(update={"preferred_agent": request.target_agent_id})
    answer = await submit(asked, caller, wait=True)
    return message("DelegateTaskResponse")(result=response_of(answer))


def stream_task(requests: AsyncIterator[Any], caller: Caller, bounds: Bounds) -> AsyncIterator[Any]:
    """MCPSupervisorService.StreamTask."""
    session = Session(caller.gate.tasks, caller.who, bounds)
    stream = Stream(session, bounds, caller.good)
    return stream.run(requests, partial(_take, stream, caller))


async def _take(stream: Stream, caller: Caller, request: Any) -> None:
    """Submit a task and tell its events, or only tell those of one that was submitted before."""
    task, after = request.task, None
    if task.task_type:
        task_id = (await submit(request_of(task), caller, wait=False))["taskId"]
    else:
        await caller.counted()
        task_id, after = task.task_id.lower(), task.metadata.get(CURSOR)

    async def tell(envelope: dict[str, Any]) -> None:
        ended = envelope["messageType"] == MessageType.TASK_RESPONSE
        await stream.tell(chunk_of(envelope["payload"], ended=ended))

    await stream.follow(task_id, after, tell)
