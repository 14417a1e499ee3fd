"""Many tasks in one request: each is accepted or refused for itself."""

import asyncio
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from cartrita.errors import CartritaError, InternalFailure
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskRequest
from cartrita.protocol.wire import WireModel
from cartrita.telemetry.log import get_logger
from cartrita.telemetry.trace import trace_id
from serve_apps.asgi.guard import exchange_of
from serve_apps.asgi.messages import header_text, read_json, reply
from serve_apps.asgi.reserved import Reserved
from serve_apps.asgi.strict import parse, read
from serve_apps.gateway.freshness import Use, cache_use, freshened
from serve_apps.gateway.gate import Tasks, gate_of, submitter_of
from serve_apps.gateway.tasks import LONGEST_KEY, is_key
from serve_apps.problems import document

log = get_logger(__name__)

MOST_TASKS = 1000
AT_ONCE = 64
"""Tasks of one batch that are asked for at a time, so that other requests get their turn."""

_PLACES = 5
"""Characters that a task's place adds to the batch's idempotency key."""


class Batch(WireModel):
    """Requests for tasks, each of which is looked at for itself."""

    tasks: list[Any] = Field(min_length=1, max_length=MOST_TASKS)


async def create_many(request: Request) -> Response:
    """POST /v3/tasks/batch: one verdict for each task, in order; none is waited for."""
    who = await submitter_of(request)
    asked = parse(Batch, await read_json(request))
    key = header_text(request, "Idempotency-Key", _is_short_key)
    trace = exchange_of(request).outlived()
    use = cache_use(request)
    desk, turn = _Desk(gate_of(request).tasks, who, key, trace, use), asyncio.Semaphore(AT_ONCE)

    async def in_turn(place: int, task: Any) -> dict[str, Any]:
        async with turn:
            return await desk.verdict(place, task)

    verdicts = await asyncio.gather(*(in_turn(*item) for item in enumerate(asked.tasks)))
    accepted = sum(verdict["accepted"] for verdict in verdicts)
    counts = {"accepted": accepted, "refused": len(verdicts) - accepted}
    return reply({**counts, "results": verdicts, "traceId": trace_id(trace)})


def _is_short_key(text: str) -> bool:
    return is_key(text) and len(text) <= LONGEST_KEY - _PLACES


class _Desk:
    """Where the tasks of one batch are handed in."""

    def __init__(
        self, tasks: Tasks, who: Principal, key: str | None, trace: str, use: Use | None
    ) -> None:
        self._tasks, self._who, self._key, self._trace = tasks, who, key, trace
        self._use = use

    async def verdict(self, place: int, task: Any) -> dict[str, Any]:
        """Ask for one task and say what became of that."""
        try:
            asked = freshened(read(TaskRequest, task), self._use)
            answer = await self._tasks.submit(
                asked,
                self._who,
                wait=False,
                idempotency_key=f"{self._key}/{place}" if self._key else None,
                traceparent=self._trace,
            )
        except CartritaError as error:
            return self._refusal(error)
        except Exception:
            log.exception("batched_task_failed", place=place, trace_id=trace_id(self._trace))
            return self._refusal(InternalFailure("The task could not be asked for."))
        return {"accepted": True, "taskId": answer["taskId"], "status": answer["status"]}

    def _refusal(self, error: CartritaError) -> dict[str, Any]:
        told = document(error, trace_id=trace_id(self._trace))
        if error.retry_after is not None:
            told["retryAfter"] = error.retry_after
        return {"accepted": False, "problem": told}


ROUTES = [Reserved("/v3/tasks/batch", create_many, methods=["POST"])]
