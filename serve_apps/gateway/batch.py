"""Many tasks in one request: each is accepted or refused for itself."""

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
from serve_apps.gateway.gate import Answer, Tasks, gate_of, submitter_of
from serve_apps.gateway.tasks import LONGEST_KEY, is_key
from serve_apps.problems import document

log = get_logger(__name__)

MOST_TASKS = 1000
AT_ONCE = 128
"""Tasks of one batch that are handed in together, so that other requests get their turn."""

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
    desk = _Desk(gate_of(request).tasks, who, key, trace, use)
    verdicts: list[dict[str, Any]] = []
    for first in range(0, len(asked.tasks), AT_ONCE):
        verdicts += await desk.verdicts(first, asked.tasks[first : first + AT_ONCE])
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

    async def verdicts(self, first: int, tasks: list[Any]) -> list[dict[str, Any]]:
        """Ask for tasks, the first of which has that place, and say what became of each."""
        answers: dict[int, Answer] = {}
        asked: dict[int, tuple[TaskRequest, str | None]] = {}
        for place, task in enumerate(tasks, first):
            key = f"{self._key}/{place}" if self._key else None
            try:
                asked[place] = freshened(read(TaskRequest, task), self._use), key
            except CartritaError as error:
                answers[place] = error
        answers |= zip(asked, await self._ask(list(asked.values())), strict=True)
        return [self._verdict(answer) for _, answer in sorted(answers.items(), key=_place)]

    async def _ask(self, asked: list[tuple[TaskRequest, str | None]]) -> list[Answer]:
        try:
            return await self._tasks.submit_many(
                asked, self._who, wait=False, traceparent=self._trace
            )
        except Exception:
            log.exception("batch_failed", trace_id=trace_id(self._trace))
            return [InternalFailure("The task could not be asked for.")] * len(asked)

    def _verdict(self, answer: Answer) -> dict[str, Any]:
        if isinstance(answer, CartritaError):
            return self._refusal(answer)
        return {"accepted": True, "taskId": answer["taskId"], "status": answer["status"]}

    def _refusal(self, error: CartritaError) -> dict[str, Any]:
        told = document(error, trace_id=trace_id(self._trace))
        if error.retry_after is not None:
            told["retryAfter"] = error.retry_after
        return {"accepted": False, "problem": told}


def _place(item: tuple[int, Answer]) -> int:
    return item[0]


ROUTES = [Reserved("/v3/tasks/batch", create_many, methods=["POST"])]
