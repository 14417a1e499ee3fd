"""The journal's database: it commits late, goes away, and answers people who have died."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cartrita.clock import Clock
from cartrita.effects import Finding, State
from cartrita.errors import ServiceUnavailable
from cartrita.journal import Event, Remnant, Settlement, TaskRecord, Verdict
from cartrita.ledger import Intent, Past
from cartrita.storage.memory_effects import InMemoryLedger
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from tests.simulator.loop import OUTSIDE, SimulationLoop

PATIENCE = 2.0
"""Seconds after which an admission that was certainly not written is refused, as in Postgres."""

PAUSE = 0.1


class Database:
    """One database of one instance.

    Attributes:
        up: Whether it answers.
    """

    def __init__(self, loop: SimulationLoop, randomness: random.Random) -> None:
        self.loop, self._random = loop, randomness
        self.tables = JournalTables()
        self.up = True
        self.commits = 0

    def delay(self) -> float:
        """Return the seconds that half of an exchange takes."""
        slow = 20.0 if self._random.random() < 0.02 else 1.0
        return slow * (0.0002 + 0.002 * self._random.random())

    def unlucky(self) -> bool:
        """Decide whether a commit in an outage is lost rather than its answer."""
        return self._random.random() < 0.5

    async def visit(self) -> None:
        """Spend the time of one read.

        Raises:
            ServiceUnavailable: It is away.
        """
        await asyncio.sleep(self.delay())
        if not self.up:
            raise ServiceUnavailable("The journal's database is away.", retry_after=2)


@dataclass(slots=True, eq=False)
class Entry:
    """Something to write.

    Attributes:
        apply: What the database does; its answer is done at once.
        impatient: It is refused rather than kept waiting through an outage.
        idle: It is left out when nobody waits for it any more.
    """

    future: asyncio.Future[Any]
    since: float
    apply: Callable[[], asyncio.Future[Any]]
    impatient: bool = False
    idle: bool = False

    def answer(self, value: Any, error: BaseException | None) -> None:
        """Say what became of it."""
        if self.future.done():
            return
        if error is None:
            self.future.set_result(value)
        else:
            self.future.set_exception(error)
            self.future.exception()  # nobody may be waiting


class Library:
    """Reads stories, for any process."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def story(self, *which: Any) -> list[Event]:
        """Return every durable event of a task in order."""
        await self._database.visit()
        found: list[Event] = await self._database.tables.story(*which)
        return found

    async def remnant(self, task_id: str) -> Remnant | None:
        """Return what is left of a task that has ended."""
        await self._database.visit()
        return await self._database.tables.remnant(task_id)


class Visiting:
    """Something else that lies in the database: each use is a visit.

    Args:
        inner: Its methods are all asynchronous.
    """

    def __init__(self, database: Database, inner: Any) -> None:
        self._database, self._inner = database, inner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._inner, name)

        async def visit(*args: Any) -> Any:
            await self._database.visit()
            return await method(*args)

        return visit


class Sender:
    """Writes batch after batch, as the writers of Postgres do, over shared tables.

    A batch is in the database's hands once it is sent: it commits whatever becomes of its
    writer. What waits behind it is in the writer's memory and dies with it.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database, self._loop, self._name = database, database.loop, name
        self._queue: deque[Entry] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._closed = False

    def _put(self, apply: Callable[[], asyncio.Future[Any]], **kind: bool) -> asyncio.Future[Any]:
        entry = Entry(self._loop.create_future(), self._loop.time(), apply, **kind)
        if self._closed:
            entry.answer(None, ServiceUnavailable(f"The {self._name} is closed."))
            return entry.future
        self._queue.append(entry)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name=self._name)
        return entry.future

    async def _write(self) -> None:
        """Send batches until nothing is queued."""
        while self._queue:
            batch = [e for e in self._queue if not (e.idle and e.future.cancelled())]
            self._queue.clear()
            await asyncio.sleep(self._database.delay())
            while not await self._send(batch):
                self._refuse_late(batch)
                await asyncio.sleep(PAUSE)

    async def _send(self, batch: list[Entry]) -> bool:
        """Have a batch committed; False when it certainly was not."""
        answered = self._loop.create_future()
        # It is the database that does this, not the process that asks.
        self._loop.call_later(
            self._database.delay(), self._commit, batch, answered, context=OUTSIDE
        )
        results = await answered
        if results is None:
            return False
        for entry, (value, error) in zip(batch, results, strict=True):
            entry.answer(value, error)
        return True

    def _commit(self, batch: list[Entry], answered: asyncio.Future[Any]) -> None:
        database = self._database
        if not database.up and database.unlucky():
            self._loop.call_later(database.delay(), _answer, answered, None, context=OUTSIDE)
            return
        results = [_result(entry.apply()) for entry in batch]
        database.commits += 1
        self._answer_once_up(answered, results)

    def _answer_once_up(self, answered: asyncio.Future[Any], results: Any) -> None:
        """Say what became of a commit, after the outage that swallowed its answer."""
        if self._database.up:
            delay = self._database.delay()
            self._loop.call_later(delay, _answer, answered, results, context=OUTSIDE)
        else:
            self._loop.call_later(PAUSE, self._answer_once_up, answered, results, context=OUTSIDE)

    def _refuse_late(self, batch: list[Entry]) -> None:
        """Refuse admissions that waited too long and were certainly not written."""
        limit = self._loop.time() - PATIENCE
        for entries in (batch, self._queue):
            for entry in [e for e in entries if e.impatient and e.since < limit]:
                entries.remove(entry)
                entry.answer(None, ServiceUnavailable("The database is away.", retry_after=2))

    async def close(self) -> None:
        """Write what is queued and refuse the rest."""
        self._closed = True
        if self._writing:
            with suppress(asyncio.CancelledError):
                await asyncio.wait([self._writing], timeout=10)


class Writer(Sender):
    """One shard's journal."""

    def __init__(self, database: Database, shard: str, clock: Clock) -> None:
        super().__init__(database, "journal")
        self._inner = InMemoryJournal(database.tables, shard, clock)

    @property
    def epoch(self) -> int:
        return self._inner.epoch

    @property
    def restarts(self) -> int:
        return self._inner.restarts

    async def open(self) -> int:
        """Take a new epoch.

        Raises:
            ServiceUnavailable: The database is away.
        """
        await self._database.visit()
        return await self._inner.open()

    def admit(self, record: TaskRecord) -> asyncio.Future[Verdict]:
        return self._put(lambda: self._inner.admit(record), impatient=True)

    def append(self, event: Event, settlement: Settlement | None = None) -> asyncio.Future[bool]:
        return self._put(lambda: self._inner.append(event, settlement))

    async def unfinished(self) -> AsyncIterator[Any]:
        """Yield each accepted task of the shard that has no end, oldest first."""
        await self._database.visit()
        async for item in self._inner.unfinished():
            yield item

    async def close(self) -> None:
        """Write what is queued and refuse the rest."""
        await super().close()
        await self._inner.close()


class LedgerWriter(Sender):
    """One shard's effect ledger. In an outage some of its commits are made twice."""

    def __init__(self, database: Database, shard: str, epoch: int, clock: Clock) -> None:
        super().__init__(database, "ledger")
        self._inner = InMemoryLedger(database.tables, shard, epoch, clock)

    def begin(self, intent: Intent) -> asyncio.Future[Finding]:
        return self._put(lambda: self._inner.begin(intent), idle=True)

    def end(self, intent: Intent, finding: Finding, *, of: State) -> asyncio.Future[Finding]:
        return self._put(lambda: self._inner.end(intent, finding, of=of))

    def _commit(self, batch: list[Entry], answered: asyncio.Future[Any]) -> None:
        if not self._database.up and self._database.unlucky():
            for entry in batch:
                entry.apply()
            self._loop.call_later(self._database.delay(), _answer, answered, None, context=OUTSIDE)
        else:
            super()._commit(batch, answered)

    async def past(self, roots: Sequence[str]) -> dict[str, list[Past]]:
        await self._database.visit()
        return await self._inner.past(roots)


def _result(done: asyncio.Future[Any]) -> tuple[Any, BaseException | None]:
    error = done.exception()
    return (None if error else done.result()), error


def _answer(answered: asyncio.Future[Any], results: Any) -> None:
    if not answered.done():
        answered.set_result(results)
