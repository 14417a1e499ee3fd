"""The load of a run: tasks that come at planned times, and what their clients learn."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

from cartrita.chaos.plan import Aim, Plan
from cartrita.chaos.streams import Reading, follow
from cartrita.client import AsyncClient
from cartrita.client.calls import TaskOptions
from cartrita.client.models import TaskOutcome
from cartrita.clock import Clock, new_id
from cartrita.errors import CartritaError

_LATER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_CONNECTIONS = httpx.Limits(max_connections=1000, max_keepalive_connections=100)


Parameters = Callable[[float, bool], Mapping[str, Any]]
"""Returns what a task is asked that is to work for so many seconds, and to be followed or not."""


@dataclass(frozen=True, slots=True)
class Work:
    """What each task is asked to do.

    Attributes:
        deadline: Seconds that a task has from its acceptance to its end.
    """

    task_type: str
    parameters: Parameters
    deadline: float
    workspace: str | None = None


@dataclass(slots=True)
class Told:
    """One task, as its client knows it. Times are in seconds after the load began.

    Attributes:
        work: Seconds that it works when nothing is broken.
        acknowledged: Whether the client was told that it is accepted.
        error: Why the client gave up, if it did.
        reading: What was seen of its events by one who followed them.
    """

    number: int
    task_id: str
    work: float = 0.0
    came: float = 0.0
    ended: float = 0.0
    acknowledged: bool = False
    outcome: TaskOutcome | None = None
    error: CartritaError | None = None
    reading: Reading | None = None


class Recorder(httpx.AsyncBaseTransport):
    """Counts the answers that a client's repeats would hide.

    Attributes:
        answers: By status; of those that did not come, by what happened instead.
        mute: Answers that tell to come later and do not tell when.
    """

    def __init__(self) -> None:
        self._transport = httpx.AsyncHTTPTransport(limits=_CONNECTIONS)
        self.answers: Counter[str] = Counter()
        self.mute = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on and count its answer."""
        try:
            answer = await self._transport.handle_async_request(request)
        except httpx.HTTPError as error:
            self.answers[type(error).__name__] += 1
            raise
        self.answers[str(answer.status_code)] += 1
        if answer.status_code in _LATER and "Retry-After" not in answer.headers:
            self.mute += 1
        return answer

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()


@dataclass(slots=True)
class Load:
    """Runs the tasks of a plan.

    Args:
        http: Signed in; for those who follow events.
    """

    client: AsyncClient
    http: httpx.AsyncClient
    aim: Aim
    plan: Plan
    work: Work
    clock: Clock
    tasks: list[Told] = field(default_factory=list)
    began: float = 0.0

    @property
    def now(self) -> float:
        """Seconds since the load began."""
        return self.clock.monotonic() - self.began

    async def run(self) -> None:
        """Let every task come and wait for what becomes of it."""
        self.began = self.clock.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, at in enumerate(self.plan.arrivals):
                await asyncio.sleep(max(at - self.now, 0.0))
                work = self.aim.stream_work if number in self.plan.followed else self.aim.work
                told = Told(number, new_id(), work, self.now)
                self.tasks.append(told)
                group.create_task(self._one(told))

    async def _one(self, told: Told) -> None:
        """Have a task run; every second client waits on its own request, the others come back."""
        following = None
        followed = told.number in self.plan.followed
        what, parameters = self.work.task_type, self.work.parameters(told.work, followed)
        options = self._options(told)
        try:
            if followed or told.number % 2:
                await self.client.submit(what, parameters, **options)
                told.acknowledged = True
                if followed:
                    told.reading = Reading(told.task_id)
                    following = asyncio.create_task(follow(self.http, told.reading))
                told.outcome = await self.client.wait(told.task_id)
            else:
                told.outcome = await self.client.run(what, parameters, **options)
                told.acknowledged = True
        except CartritaError as error:
            told.error = error
        finally:
            told.ended = self.now
        if following:
            await asyncio.wait({following}, timeout=self.work.deadline)
            following.cancel()

    def _options(self, told: Told) -> TaskOptions:
        options = TaskOptions(task_id=told.task_id, timeout=self.work.deadline)
        if self.work.workspace:
            options["workspace_id"] = self.work.workspace
        return options
