"""One reader of one task's log, wherever the task is at the moment."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

from actors.routes import Routes
from cartrita.channel.client import Exchange
from cartrita.clock import Clock, iso
from cartrita.errors import CartritaError
from cartrita.journal import END_STEP, Stories
from cartrita.story import Entry, narrate, step_of, to_wire

PAUSE = 0.2
"""Seconds between two looks for a task whose supervisor is away."""

LONGEST = 86_400.0
"""Seconds one reader may stay at one supervisor."""


class Follower:
    """Reads a log from the task's supervisor while it is live there, else from the journal.

    Args:
        shard: Which owns the task.
    """

    def __init__(
        self, routes: Routes, stories: Stories, clock: Clock, task_id: str, shard: str
    ) -> None:
        self._routes, self._stories, self._clock = routes, stories, clock
        self._task_id, self._shard = task_id, shard

    async def read(self, after: str | None) -> AsyncGenerator[dict[str, Any], None]:
        """Yield what is behind a cursor, in order, to the end."""
        step = step_of(after)
        while step < END_STEP:
            async with aclosing(self._live(step)) as entries:
                async for entry in entries:
                    step = entry.step
                    yield self._wire(entry)
            if step >= END_STEP:
                return
            for entry in narrate(await self._stories.story(self._task_id, step), step):
                step = entry.step
                yield self._wire(entry)
            if step < END_STEP:
                await asyncio.sleep(PAUSE)

    def _wire(self, entry: Entry) -> dict[str, Any]:
        return to_wire(self._task_id, entry, iso(entry.at))

    async def _live(self, step: int) -> AsyncGenerator[Entry, None]:
        """Yield what the supervisor tells, until it has no more or is lost."""
        heard: asyncio.Queue[list[Any] | None] = asyncio.Queue()  # bounded by the credit
        exchange = Exchange(heard.put_nowait)
        asked = asyncio.create_task(self._ask(step, exchange, heard))
        try:
            while (row := await heard.get()) is not None:
                yield Entry(*row)
                exchange.grant(1)
        finally:
            asked.cancel()

    async def _ask(
        self, step: int, exchange: Exchange, heard: asyncio.Queue[list[Any] | None]
    ) -> None:
        # Whatever it fails with, the journal tells the rest, or the shard's successor.
        with suppress(CartritaError):
            payload = [self._task_id, step]
            await self._routes.call(self._shard, "events", payload, LONGEST, exchange)
        heard.put_nowait(None)
