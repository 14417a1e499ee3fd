"""Many tasks on their way to one shard: in few requests, and each for itself where that fails."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from actors.asking import ACCEPT_TIMEOUT, LATE, Asking
from actors.routes import Routes
from cartrita.channel.client import Exchange
from cartrita.clock import Clock
from cartrita.errors import CartritaError, from_wire
from cartrita.journal import TaskRecord

MOST = 256
"""Tasks of one request: the next is packed while this one is at work."""

MOST_BYTES = 1024 * 1024

Answer = dict[str, Any] | CartritaError


class Bulk:
    """Hands tasks in together.

    Args:
        routes: To the shards.
        asking: For those that were not simply taken.
    """

    def __init__(self, routes: Routes, asking: Asking, clock: Clock) -> None:
        self._routes, self._asking, self._clock = routes, asking, clock

    async def ask(self, shard: str, records: Sequence[TaskRecord], *, wait: bool) -> list[Answer]:
        """Submit records to a shard and return what became of each, in order."""
        parts = [self._part(shard, part, wait=wait) for part in portions(records)]
        if len(parts) == 1:
            return await parts[0]
        return [answer for found in await asyncio.gather(*parts) for answer in found]

    async def _part(self, shard: str, records: Sequence[TaskRecord], *, wait: bool) -> list[Answer]:
        told: dict[int, Answer] = {}

        def hear(rows: list[list[Any]]) -> None:
            for place, taken, answer in rows:
                told[place] = answer if taken else from_wire(answer)

        failed, sent = None, False
        try:
            channel = await self._routes.channel(shard)
            sent = True
            payload = [[record.pack() for record in records], wait]
            timeout = self._patience(records, wait=wait)
            trace = records[0].trace
            await channel.request("submit_many", payload, timeout, trace, Exchange(hear))
        except CartritaError as error:
            failed = error
        if failed is None and not any(isinstance(one, CartritaError) for one in told.values()):
            return [told[place] for place in range(len(records))]
        each = (
            self._alone(shard, record, told.get(place), sent=sent, wait=wait)
            for place, record in enumerate(records)
        )
        return await asyncio.gather(*each)

    def _patience(self, records: Sequence[TaskRecord], *, wait: bool) -> float:
        if not wait:
            return ACCEPT_TIMEOUT
        last = max(record.deadline for record in records)
        return max(last - self._clock.now(), 0.0) + LATE

    async def _alone(
        self, shard: str, record: TaskRecord, told: Answer | None, *, sent: bool, wait: bool
    ) -> Answer:
        """Return what became of one, asking for it by itself where that is not known yet."""
        try:
            if told is None:
                return await self._asking.ask(record, wait=wait, asked=sent)
            if isinstance(told, CartritaError):
                return await self._asking.ask_anew(record, shard, told, wait=wait)
        except CartritaError as error:
            return error
        return told


def portions(records: Sequence[TaskRecord]) -> Iterator[Sequence[TaskRecord]]:
    """Yield records in parts that fit into a request."""
    first = size = 0
    for place, record in enumerate(records):
        length = len(record.pack())
        if place > first and (size + length > MOST_BYTES or place - first >= MOST):
            yield records[first:place]
            first, size = place, 0
        size += length
    yield records[first:]
