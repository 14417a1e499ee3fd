"""What the bridge adds to a request: CPU of the same task by v2's route and by v3's.

`python -m benchmarks.bridge [requests]` asks the gateway alone, without sockets and with a door
that answers at once, by both routes in turn; the least of several rounds counts. The share is
that of a whole request as `benchmarks.http_path` measured it.
"""

import asyncio
import sys
import time
from dataclasses import replace
from typing import Any

from pydantic_core import to_json
from starlette.types import ASGIApp

from cartrita.protocol.task import TaskRequest
from serve_apps.bridge.loop import Bridge
from serve_apps.bridge.table import Row, Table
from tests.support.bridged import bridged

ROUNDS = 7

WHOLE = 1060
"""Microseconds of CPU of a request for a task over the whole path, of all processes, at least."""

ECHO = Row(
    route="POST /api/echo",
    auth="user",
    task="system.echo",
    refuse=({"unless": "text(body.message)", "error": "Message is required"},),
    takes="{payload: body.message, delayMs: body.delay}",
    gives="""{
      success: `true`, response: result.payload, conversationId: session,
      metadata: {speaker: 'cartrita', model: task.model, response_time_ms: task.milliseconds},
      timestamp: now
    }""",
    session="body.conversationId || 'v2'",
)
"""A row such as that of the chat, of a task that costs nothing itself."""


class Still:
    """A door that answers at once, so that only the gateway's own work is measured."""

    async def submit(self, request: TaskRequest, _who: Any, **_: Any) -> dict[str, Any]:
        """Return what an echo returns."""
        return {
            "taskId": "0192f0c1-2345-7000-8000-000000000001",
            "status": "COMPLETED",
            "result": {"payload": request.parameters["payload"]},
            "metrics": {"processingTimeMs": 1.5, "costUsd": 0.0, "tokensUsed": 0},
            "warnings": [],
            "traceId": "0" * 32,
        }


def request_for(path: str, body: bytes, who: dict[str, str]) -> dict[str, Any]:
    """Return a request as a server gives it to an application."""
    headers = [
        (b"host", b"localhost:8001"),
        (b"accept", b"*/*"),
        (b"user-agent", b"bench"),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"authorization", who["Authorization"].encode()),
        (b"x-forwarded-for", b"127.0.0.1"),
        (b"x-cartrita-door", b"v2"),
    ]
    return {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": headers, "client": ("127.0.0.1", 1), "scheme": "http",
        "server": ("127.0.0.1", 80), "http_version": "1.1", "root_path": "", "asgi": {},
    }  # fmt: skip


async def ask(app: ASGIApp, path: str, body: bytes, who: dict[str, str]) -> int:
    """Ask once and return the status."""
    told: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    await app(request_for(path, body, who), receive, send)
    return int(told[0]["status"])


async def main(requests: int) -> None:
    """Print the CPU of a request by both routes, in microseconds."""
    async with bridged(Bridge(table=Table([ECHO]))) as api:
        inner = api.app._app._app  # noqa: SLF001 - the gateway behind its counter and guard
        inner.gate = replace(inner.gate, tasks=Still())
        who = await api.user("bench@example.org")
        echo = {"taskType": "system.echo", "parameters": {"payload": "hello"}, "sessionId": "v2"}
        asked = {"/v3/tasks": to_json(echo), "/api/echo": to_json({"message": "hello"})}
        spent: dict[str, list[float]] = {path: [] for path in asked}
        for _ in range(ROUNDS):
            for path, body in asked.items():
                begun = time.process_time()
                for _ in range(requests):
                    assert await ask(api.app, path, body, who) == 200
                spent[path].append((time.process_time() - begun) / requests * 1e6)
    plain, bridge = (min(rounds) for rounds in spent.values())
    print(f"in the gateway: v3 {plain:.0f} us, v2 {bridge:.0f} us, {bridge - plain:+.0f} us")
    print(f"of a whole request ({WHOLE} us): {100 * (bridge - plain) / WHOLE:+.1f} %")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 2000))
