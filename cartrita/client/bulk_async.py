"""What the asynchronous client does with many tasks."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from contextlib import aclosing
from itertools import count
from typing import Unpack

from cartrita.client import bulk
from cartrita.client.bulk import (
    AT_ONCE,
    LONGEST_PAGE,
    Asked,
    BatchResult,
    Entry,
    Filters,
    ListedTask,
    Offers,
    TaskPage,
)
from cartrita.client.exchange import Exchange
from cartrita.client.players import AsyncPart, AsyncPlayer
from cartrita.errors import NotFound

LOOKS = 32
"""Looks at tasks under way at a time, where results come in order."""


class AsyncBulk(AsyncPart):
    """Part of `AsyncClient`."""

    async def batch(
        self,
        tasks: Iterable[Asked] | AsyncIterable[Asked],
        *,
        ordered: bool = True,
        at_once: int = AT_ONCE,
    ) -> AsyncGenerator[BatchResult, None]:
        """Run many tasks; yield what became of each, in their order or as they end.

        There may be any number: they are read as there is room for more. Close the iterator
        (`contextlib.aclosing`) to leave early; what was accepted goes on.

        Args:
            tasks: See `Asked`; a `task_id` makes a repeat the same task.
            ordered: Whether results come in the order of the tasks.
            at_once: Tasks under way at a time.

        Raises:
            CartritaError: Nothing more can be accepted or looked at; the class says why.
        """
        looks = min(LOOKS, at_once) if ordered else at_once
        work = _Batch(
            self._play, self._talk.exchange, ordered=ordered, at_once=at_once, looks=looks
        )
        async with aclosing(work.results(_one_by_one(tasks))) as results:
            async for result in results:
                yield result

    async def tasks(
        self, limit: int | None = None, **filters: Unpack[Filters]
    ) -> AsyncIterator[ListedTask]:
        """Yield tasks, the last accepted first; as `Client.tasks` does."""
        cursor: str | None = None
        left = math.inf if limit is None else limit
        while left > 0:
            page = await self.task_page(cursor, int(min(left, LONGEST_PAGE)), **filters)
            for task in page.tasks:
                yield task
            left, cursor = left - len(page.tasks), page.next
            if cursor is None:
                return

    async def task_page(
        self, cursor: str | None = None, limit: int = 50, **filters: Unpack[Filters]
    ) -> TaskPage:
        """Return a page of tasks; as `Client.task_page` does."""
        return await self._play(bulk.page(self._talk.exchange, filters, limit, cursor))


class _Batch:
    """One batch under way.

    Args:
        at_once: Entries between what was asked and what was told.
    """

    def __init__(
        self, play: AsyncPlayer, exchange: Exchange, *, ordered: bool, at_once: int, looks: int
    ) -> None:
        self._play, self._exchange = play, exchange
        self._ordered, self._looks = ordered, looks
        self._room = asyncio.Semaphore(at_once)
        self._offers = Offers(self._exchange.patience(math.inf))
        self._news = asyncio.Event()
        self._open: asyncio.PriorityQueue[tuple[int, Entry]] = asyncio.PriorityQueue()
        self._turns = count()
        self._out: asyncio.Queue[BatchResult | BaseException | None] = asyncio.Queue()
        self._held: dict[int, BatchResult] = {}
        self._next = 0
        self._total: int | None = None

    async def results(self, source: AsyncIterator[Asked]) -> AsyncGenerator[BatchResult, None]:
        """Yield what became of each."""
        jobs = [asyncio.create_task(job) for job in (self._read(source), self._hand_in())]
        jobs += [asyncio.create_task(self._look()) for _ in range(self._looks)]
        for job in jobs:
            job.add_done_callback(self._note)
        told = 0
        try:
            while self._total is None or told < self._total:
                result = await self._out.get()
                if isinstance(result, BaseException):
                    raise result
                if result is not None:
                    yield result
                    told += 1
                    self._room.release()
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    def _note(self, job: asyncio.Task[None]) -> None:
        if not job.cancelled() and (error := job.exception()):
            self._out.put_nowait(error)

    async def _read(self, source: AsyncIterator[Asked]) -> None:
        place = 0
        async for asked in source:
            await self._room.acquire()
            entry = bulk.entry_of(place, asked)
            if isinstance(entry, Entry):
                self._offer(entry)
            else:
                self._tell(entry)
            place += 1
        self._total = place
        self._out.put_nowait(None)

    def _offer(self, entry: Entry) -> None:
        self._offers.add(entry)
        self._news.set()

    async def _hand_in(self) -> None:
        while True:
            await self._news.wait()
            chunk = self._offers.take()
            if not chunk:
                self._news.clear()
                continue
            flow = bulk.offer(self._exchange, [entry.task for entry in chunk])
            verdicts = await self._play(flow)
            accepted, refused, pause = self._offers.hear(chunk, verdicts)
            for entry in accepted:
                self._open.put_nowait((self._turn(entry), entry))
            for result in refused:
                self._tell(result)
            await asyncio.sleep(pause)

    async def _look(self) -> None:
        while True:
            _, entry = await self._open.get()
            flow = bulk.look(self._exchange, entry.task.task_id, bulk.LOOK)
            try:
                outcome = await self._play(flow)
            except NotFound:  # the server lost it, or did not keep what it said
                self._offer(entry)
                continue
            if outcome.status.terminal:
                self._tell(entry.ended(outcome))
            else:
                self._open.put_nowait((self._turn(entry), entry))

    def _turn(self, entry: Entry) -> int:
        return entry.place if self._ordered else next(self._turns)

    def _tell(self, result: BatchResult) -> None:
        if not self._ordered:
            self._out.put_nowait(result)
            return
        self._held[result.place] = result
        while self._next in self._held:
            self._out.put_nowait(self._held.pop(self._next))
            self._next += 1


async def _one_by_one(tasks: Iterable[Asked] | AsyncIterable[Asked]) -> AsyncIterator[Asked]:
    if isinstance(tasks, AsyncIterable):
        async for asked in tasks:
            yield asked
        return
    for asked in tasks:
        yield asked
