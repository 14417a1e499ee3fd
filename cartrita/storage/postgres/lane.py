"""A way into the journal: whatever waits goes into one transaction, batch after batch."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from cartrita.clock import Clock
from cartrita.errors import InternalFailure, ServiceUnavailable, StaleEpoch
from cartrita.journal import Verdict
from cartrita.storage.postgres.batch import Batch, Entry, Purse, array
from cartrita.storage.postgres.folding import Folder
from cartrita.storage.postgres.outage import AWAY, PASSING, STALE, Connect, hang_up
from cartrita.telemetry.metrics import (
    JOURNAL_ENTRIES,
    JOURNAL_ERRORS,
    JOURNAL_SECONDS,
    JOURNAL_UP,
    JOURNAL_WAITING,
    labelled,
)

MAX_BATCH = 1000
MAX_BATCH_BYTES = 16 * 1024 * 1024

PATIENCE = 2.0
"""Seconds an admission waits for a database that is away before it is refused."""

PAUSE = 0.1
"""Seconds between tries to reach a database that is away."""

_WRITE = """SELECT * FROM journal_write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
                                        $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
                                        $23, $24)"""
_OURS = """
SELECT e.position FROM unnest($1::text::uuid[], $2::text::bigint[]) AS u (id, step)
JOIN task_events e ON e.task_id = u.id AND e.step = u.step
WHERE e.shard = $3 AND e.epoch = $4 AND e.position > $5 AND e.position <= $5 + $6"""


@dataclass(slots=True)
class Seat:
    """What a shard's owner holds.

    Attributes:
        purse: What the budgets hold that nobody set.
        position: The last that was given out.
        stale: Set once somebody else owns the shard.
    """

    shard: str
    clock: Clock
    connect: Connect
    folder: Folder
    purse: Purse
    epoch: int = 0
    position: int = 0
    stale: StaleEpoch | None = None

    def take(self, count: int) -> int:
        """Give out positions to a batch; they follow the one that is returned."""
        before = self.position
        self.position += count
        return before

    def done(self) -> None:
        """Note that all that positions were given to is settled: the table may reach as far."""
        self.folder.reached(self.position)

    def fence(self) -> StaleEpoch:
        """Note that somebody else owns the shard, and return what to say about it."""
        self.stale = self.stale or StaleEpoch(f"Shard {self.shard!r} has a newer owner.")
        return self.stale


class Lane:
    """Writes entries in the order in which they come, over a connection of its own.

    While one batch is on its way to the disk, whatever comes queues up and is the next batch,
    so there is no linger timer and one commit pays for up to `MAX_BATCH` entries.
    """

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._connection: asyncpg.Connection | None = None
        self._queue: deque[Entry] = deque()
        self._bytes = 0
        self._batch = Batch(0, [])
        self._sent = self._began = 0.0
        self._wake = asyncio.Event()
        self._closing = False

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def size(self) -> int:
        """How many bytes wait."""
        return self._bytes

    def put(self, entry: Entry) -> None:
        """Take an entry."""
        self._queue.append(entry)
        self._bytes += len(entry.data)
        self._wake.set()

    async def run(self) -> None:
        """Write batch after batch until closed and empty."""
        watch = asyncio.create_task(self._watch())
        try:
            while not (self._closing and not self._queue):
                if self._queue:
                    self._batch = self._take()
                    await self._write(self._batch)
                    self._seat.done()
                else:
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            watch.cancel()

    def _take(self) -> Batch:
        queue = self._queue
        if len(queue) <= MAX_BATCH and self._bytes <= MAX_BATCH_BYTES:
            entries = list(queue)
            queue.clear()
            self._bytes = 0
            return Batch(self._seat.take(len(entries)), entries)
        entries, left = [], MAX_BATCH_BYTES
        while queue and len(entries) < MAX_BATCH and (left > len(queue[0].data) or not entries):
            entries.append(queue.popleft())
            left -= len(entries[-1].data)
        self._bytes -= MAX_BATCH_BYTES - left
        return Batch(self._seat.take(len(entries)), entries)

    async def _write(self, batch: Batch) -> None:
        """Write one batch, through outages, until its outcome is known."""
        while batch.entries:
            try:
                rows = await self._send(batch)
            except AWAY as error:
                self._disconnect()
                self._failed(error)
                await self._pause(batch)
            except PASSING as error:
                self._failed(error)
                if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                    self._disconnect()  # another server may be the one to write to by now
                await self._pause(batch)
            except Exception as error:  # noqa: BLE001 - a bad entry must not end the writer
                if isinstance(error, asyncpg.UniqueViolationError) and not batch.contested:
                    batch.contested = True
                    continue
                await self._refused(batch, error)
                return
            else:
                self._written(len(batch.entries))
                self._settle(batch, rows)
                return

    def _written(self, entries: int) -> None:
        seat = self._seat
        labelled(JOURNAL_SECONDS, seat.shard).observe(seat.clock.monotonic() - self._began)
        labelled(JOURNAL_ENTRIES, seat.shard).inc(entries)
        self._tell(up=True)

    def _failed(self, error: Exception) -> None:
        labelled(JOURNAL_ERRORS, self._seat.shard, type(error).__name__).inc()
        self._tell(up=False)

    def _tell(self, *, up: bool) -> None:
        labelled(JOURNAL_UP, self._seat.shard).set(up)
        labelled(JOURNAL_WAITING, self._seat.shard).set(len(self._queue))

    async def _send(self, batch: Batch) -> Sequence[asyncpg.Record]:
        """Try to write a batch; returns a row for each entry that did not simply go in."""
        self._sent = self._began = self._seat.clock.monotonic()
        connection = await self._connected()
        unsure, batch.unsure = batch.unsure, True
        batch.contested |= unsure
        try:
            rows = await connection.fetch(
                _WRITE, *batch.arguments(self._seat.shard, self._seat.epoch, self._seat.purse)
            )
        except AWAY:
            raise
        except Exception:
            batch.unsure = unsure
            raise
        finally:
            self._sent = 0.0
        return await self._foreign(batch, rows) if unsure else rows

    async def _foreign(self, batch: Batch, rows: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
        """Leave out the conflicts with our own first try, whose commit was not answered."""
        connection = await self._connected()
        stored = await connection.fetch(
            _OURS,
            array([entry.task_id for entry in batch.entries]),
            array([str(entry.step) for entry in batch.entries]),
            self._seat.shard,
            self._seat.epoch,
            batch.position,
            len(batch.entries),
        )
        ours = {row["position"] - batch.position for row in stored}
        return [row for row in rows if row["place"] not in ours]

    async def _pause(self, batch: Batch) -> None:
        """Let a moment pass; refuse admissions that waited too long and were not written."""
        self._expire()
        if not batch.unsure:
            late = self._late(batch.entries)
            batch.entries = [entry for entry in batch.entries if entry not in late]
        await asyncio.sleep(PAUSE)

    def _late(self, entries: Sequence[Entry]) -> set[Entry]:
        """Refuse the admissions among entries that waited too long, and return them."""
        limit = self._seat.clock.monotonic() - PATIENCE
        late = {entry for entry in entries if entry.record and entry.since < limit}
        for entry in late:
            entry.resolve(
                error=ServiceUnavailable("The journal's database is away.", retry_after=2)
            )
        return late

    def _expire(self) -> None:
        late = self._late(self._queue)
        if late:
            self._queue = deque(entry for entry in self._queue if entry not in late)
            self._bytes = sum(len(entry.data) for entry in self._queue)

    async def _watch(self) -> None:
        """Refuse admissions that wait behind a batch to which the database does not answer."""
        while True:
            await asyncio.sleep(PATIENCE / 2)
            if self._sent and self._seat.clock.monotonic() - self._sent > PATIENCE:
                self._expire()

    async def _refused(self, batch: Batch, error: Exception) -> None:
        """Act on an error that another try would not mend."""
        if getattr(error, "sqlstate", None) == STALE:
            self.fail(self._seat.fence())
        elif len(batch.entries) == 1:
            batch.entries[0].resolve(error=InternalFailure(f"The journal refused it: {error}"))
        else:  # one bad entry must not fail its neighbours
            for alone in batch.singles():
                await self._write(alone)

    def fail(self, error: Exception) -> None:
        """Answer everything that waits with an error."""
        for entry in (*self._batch.entries, *self._queue):
            entry.resolve(error=error)
        self._queue.clear()
        self._bytes = 0

    def _settle(self, batch: Batch, rows: Sequence[asyncpg.Record]) -> None:
        """Tell everybody who waits what became of their entry."""
        odd = {row["place"]: row for row in rows}
        folder = self._seat.folder
        for place, entry in enumerate(batch.entries, 1):
            row = odd.get(place) if odd else None
            if row is not None and row["verdict"] != "accepted":
                entry.resolve(_verdict(entry, row) if entry.record else False)
            elif entry.record:
                folder.accepted(entry.record)
                pressure = row["pressure"] if row else 0.0
                entry.resolve(Verdict("accepted", entry.task_id, pressure=pressure))
            else:
                if entry.event:
                    folder.happened(entry.event)
                entry.resolve(True)

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._seat.connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.terminate()

    def finish(self) -> None:
        """Have `run` return once everything is written."""
        self._closing = True
        self._wake.set()

    async def close(self) -> None:
        """Let go of the connection."""
        if self._connection:
            await hang_up(self._connection)
            self._connection = None


def _verdict(entry: Entry, row: asyncpg.Record) -> Verdict:
    """Return what was decided about a task that was not simply admitted."""
    known = str(row["known"] or entry.task_id)
    return Verdict(row["verdict"], known, row["budget"] or "", row["resets"] or 0.0)
