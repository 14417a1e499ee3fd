"""How a shard is asked for a task, again and again where it goes away meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from actors.routes import Routes
from cartrita.catalog import Catalog
from cartrita.clock import Clock
from cartrita.errors import (
    CartritaError,
    ChannelLost,
    ConfigurationInvalid,
    Reason,
    ServiceUnavailable,
    StaleEpoch,
    StillRunning,
    TaskTimeout,
)
from cartrita.journal import Stories, TaskRecord
from cartrita.protocol.task import TaskStatus
from cartrita.telemetry.request import served

ACCEPT_TIMEOUT = 10.0
"""Seconds a door looks for the shard before it says that nobody can accept the task."""

LATE = 3.0
"""Seconds after its deadline by which a task has certainly been answered for."""

PAUSE = 0.1


class Asking:
    """Submits records.

    Args:
        catalog: Says which team a task is of.
        routes: To the shards.
        stories: Tell whether a task was accepted.
        forgo: Told of each that certainly was not.
    """

    def __init__(
        self,
        catalog: Catalog,
        routes: Routes,
        stories: Stories,
        clock: Clock,
        forgo: Callable[[TaskRecord], Awaitable[None]],
    ) -> None:
        self._catalog, self._routes, self._stories, self._clock = catalog, routes, stories, clock
        self._forgo = forgo

    async def shard_of(self, record: TaskRecord) -> str:
        """Return the shard that takes a new task.

        Raises:
            ServiceUnavailable: Its team does not run.
        """
        team = self._catalog.task_named(record.work).team
        return await self._routes.shard_of(team, record.principal.user)

    async def ask(self, record: TaskRecord, *, wait: bool, asked: bool = False) -> dict[str, Any]:
        """Submit to a shard; when it goes away, find it again and ask with the same id.

        That is safe because the id was minted here: the shard that was restarted knows whether
        it had accepted this task.

        Args:
            record: What to submit.
            wait: Whether for its end, or for its acceptance.
            asked: Whether a shard was asked before, and may have it.
        """
        payload: list[Any] = [record.pack(), wait]
        if wait and (request := served()):
            payload.append(request)
        now = self._clock.monotonic()
        end = now + record.deadline - self._clock.now() + LATE
        until = min(end, now + ACCEPT_TIMEOUT)
        while True:
            shard, channel = await self.shard_of(record), None
            try:
                channel = await self._routes.channel(shard)
                until = end if wait else until  # it may be at work already
                left = until - self._clock.monotonic()
                answer: dict[str, Any] = await channel.request(
                    "submit", payload, left, record.trace
                )
            except CartritaError as error:
                if asked and await self._known(record.task_id):
                    return {"taskId": record.task_id, "status": TaskStatus.PENDING.value}
                tried = channel or isinstance(error, ConfigurationInvalid)  # which no wait mends
                if tried and await self._refused(shard, error, asked=asked):
                    await self._forgo(record)
                    raise
                why, asked = error, asked or channel is not None
            else:
                return answer
            if self._clock.monotonic() >= until:
                raise ServiceUnavailable(
                    f"{shard!r} does not answer. Ask again with taskId {record.task_id!r}: "
                    "a repeat is the same task.",
                    retry_after=2,
                ) from why
            await asyncio.sleep(PAUSE)

    async def _known(self, task_id: str) -> bool:
        """Tell whether a task was accepted after all when it was asked for before."""
        try:
            return bool(await self._stories.story(task_id))
        except ServiceUnavailable:
            return False

    async def _refused(self, shard: str, error: CartritaError, *, asked: bool) -> bool:
        """Tell whether the task was certainly not accepted, now or when it was asked before."""
        if isinstance(error, StaleEpoch):
            self._routes.mislay(shard)
            return False
        if error.reason == Reason.DRAINING:  # the table has changed: another shard takes it
            await self._routes.refresh()
            return False
        if isinstance(error, ServiceUnavailable):
            return isinstance(error, StillRunning) or not asked
        lost = isinstance(error, (ChannelLost, TaskTimeout))
        return not lost or error.reason == Reason.DEADLINE_IMPOSSIBLE

    async def ask_anew(
        self, record: TaskRecord, shard: str, error: CartritaError, *, wait: bool
    ) -> dict[str, Any]:
        """Ask again after a shard's own answer for a record; raises that where it is final."""
        if await self._refused(shard, error, asked=False):
            await self._forgo(record)
            raise error
        return await self.ask(record, wait=wait, asked=True)
