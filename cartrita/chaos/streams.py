"""Reads a task's events to their end through whatever happens, and hides nothing that came."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

from cartrita.story import TYPE_OF

PAUSE = 0.2
QUIET = 45.0
"""Seconds a stream may be silent, in which the server would have sent three comments."""

_ENDS = frozenset(TYPE_OF.values())


@dataclass(slots=True)
class Reading:
    """What one reader of a task was told, in the order in which it came.

    Attributes:
        broken: How often the stream ended before its task did.
    """

    task_id: str
    story: list[dict[str, Any]] = field(default_factory=list)
    broken: int = 0
    ended: bool = False


async def follow(http: httpx.AsyncClient, reading: Reading) -> None:
    """Read until the end, coming back with the last cursor whenever the stream breaks.

    The client library leaves out what it knows already; here a repeat would be seen.
    """
    while not reading.ended:
        with suppress(httpx.HTTPError):
            await _read(http, reading)
        if not reading.ended:
            reading.broken += 1
            await asyncio.sleep(PAUSE)


async def _read(http: httpx.AsyncClient, reading: Reading) -> None:
    after = {"Last-Event-ID": reading.story[-1]["cursor"]} if reading.story else {}
    headers = {"Accept": "text/event-stream", **after}
    path = f"/v3/tasks/{reading.task_id}/events"
    timeout = httpx.Timeout(10.0, read=QUIET)
    async with http.stream("GET", path, headers=headers, timeout=timeout) as answer:
        reading.ended = answer.status_code == HTTPStatus.NO_CONTENT
        if answer.status_code == HTTPStatus.OK:
            async for event in _events(answer):
                reading.story.append(event)
                reading.ended = reading.ended or event["type"] in _ENDS


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in answer.aiter_lines():
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))
