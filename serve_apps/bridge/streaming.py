"""Answers a call while its task still writes: server-sent events as v2's successor had them."""

from collections.abc import AsyncIterator
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from serve_apps.bridge.calls import Call, failure
from serve_apps.bridge.redaction import Seam, redacted
from serve_apps.bridge.table import Row
from serve_apps.gateway.events import PROMPT, EventStream, Told

ENDS = ("completed", "failed", "cancelled", "timeout")


class Spoken(Told):
    """A task's events, in a row's words.

    A text that is written goes out word by word, so that no secret is cut in two; where the agent
    did not show it while it wrote, it goes out whole at the end.

    Args:
        events: The task's.
        row: Says what is told of a piece and of the result.
        path: Where it goes.
    """

    greeting = b""  # a browser that came back by itself would ask anew

    def __init__(self, events: AsyncIterator[dict[str, Any]], row: Row, path: str) -> None:
        super().__init__(events)
        self._row, self._path, self._spoke = row, path, False
        self._seam = Seam()

    def write(self, event: dict[str, Any]) -> bytes:
        """Return an event as it is written; nothing for one that this API does not tell."""
        kind, data = event["type"], event["data"] or {}
        if kind == "token":
            self._spoke = True
            return self._piece(self._seam.take(data["text"]))
        if kind not in ENDS:
            return b""
        rest = self._piece(self._seam.rest())
        if kind != "completed":
            return rest + self._line(_refusal(data), "error")
        whole = rest if self._spoke else self._said({"result": data["result"]})
        return whole + b"data: [DONE]\n\n"

    def _piece(self, text: str) -> bytes:
        return self._said({"piece": {"text": text}}) if text else b""

    def _said(self, document: dict[str, Any]) -> bytes:
        assert self._row.streams
        return self._line(self._row.streams(document))

    def _line(self, value: Any, event: str = "") -> bytes:
        text = redacted(to_json(value, inf_nan_mode="null", bytes_mode="base64"), self._path)
        head = f"event: {event}\n".encode() if event else b""
        return head + b"data: " + text + b"\n\n"


def _refusal(response: dict[str, Any]) -> dict[str, Any]:
    error = failure(response)
    return {"message": error.message, "code": error.code, "reason": error.reason}


async def streamed(call: Call, row: Row, task_id: str) -> Response:
    """Return the answer that a task writes.

    Raises:
        CartritaError: The task's events cannot be read.
    """
    path = call.document["call"]["path"]
    told = Spoken(call.gate.tasks.events(task_id, call.person), row, path)
    try:
        await told.nothing_within(PROMPT)
    except BaseException:
        await told.close()
        raise
    return EventStream(told)
