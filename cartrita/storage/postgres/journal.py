"""The journal's writer: everything that waits goes into one transaction.

While one batch is on its way to the disk, whatever comes queues up and is the next batch, so
there is no linger timer and one commit pays for up to `MAX_BATCH` tasks.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import asyncpg

from cartrita.channel.frames import unpack
from cartrita.clock import Clock, SystemClock
from cartrita.errors import InternalFailure, ServiceUnavailable, StaleEpoch
from cartrita.journal import Event, EventKind, Settlement, TaskRecord, Verdict, fold
from cartrita.storage.postgres.batch import Batch, Entry
from cartrita.storage.postgres.folding import Folder
from cartrita.storage.postgres.outage import AWAY, PASSING
from cartrita.telemetry.log import get_logger

log = get_logger(__name__)

MAX_BATCH = 1000
MAX_QUEUE = 20_000
PATIENCE = 2.0
"""Seconds an admission waits for a database that is away before it is refused."""

PAUSE = 0.1
"""Seconds between tries to reach a database that is away."""

CLOSE_TIMEOUT = 30.0
"""Seconds that `close` tries to write what is queued."""

FOLD_EVERY = 0.25
"""Seconds the `tasks` table may lag behind its events."""

CONNECT_TIMEOUT = 3.0
COMMAND_TIMEOUT = 30.0
_STALE = "CT001"
_RECOVER = 500

_WRITE = """SELECT * FROM journal_write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
                                        $13, $14, $15, $16, $17, $18, $19)"""


class PostgresJournal:
    """The one writer of a shard. Lives in the shard's supervisor."""

    def __init__(
        self,
        url: str,
        shard: str,
        *,
        build: str = "",
        run: str = "",
        clock: Clock | None = None,
        **connect: Any,
    ) -> None:
        self._url, self._shard, self._build, self._run_id = url, shard, build, run
        self._clock = clock or SystemClock()
        self._connect_options = connect
        self._connection: asyncpg.Connection | None = None
        self._queue: deque[Entry] = deque()
        self._batch = Batch(0)
        self._wake = asyncio.Event()
        self._position = 0
        self._epoch = self._restarts = 0
        self._stale: StaleEpoch | None = None
        self._writer: asyncio.Task[None] | None = None
        self._closing = False
        self._folder = Folder(shard)

    @property
    def epoch(self) -> int:
        """The incarnation this writer acts for; 0 before `open`."""
        return self._epoch

    @property
    def restarts(self) -> int:
        """How often the shard was taken over in this life of the instance."""
        return self._restarts

    @property
    def waiting(self) -> int:
        """How many entries are queued."""
        return len(self._queue)

    async def open(self) -> int:
        """Take a new epoch of the shard and begin to write."""
        connection = await self._connected()
        self._epoch, self._restarts = await take_epoch(
            connection, self._shard, build=self._build, run=self._run_id
        )
        self._position = await connection.fetchval(
            "SELECT coalesce(max(position), 0) FROM task_events WHERE shard = $1", self._shard
        )
        await self._folder.catch_up(connection, self._epoch)
        self._writer = asyncio.create_task(self._run(), name=f"journal {self._shard}")
        return self._epoch

    def admit(self, record: TaskRecord) -> asyncio.Future[Verdict]:
        """Queue a task for admission."""
        return self._put(Entry(self._future(), self._clock.monotonic(), record=record))

    def append(self, event: Event, settlement: Settlement | None = None) -> asyncio.Future[bool]:
        """Queue an event."""
        entry = Entry(self._future(), self._clock.monotonic(), event=event, settlement=settlement)
        return self._put(entry)

    def _future(self) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    def _put(self, entry: Entry) -> asyncio.Future[Any]:
        if self._stale or self._closing:
            entry.resolve(error=self._stale or ServiceUnavailable("The journal is closed."))
        elif entry.record and len(self._queue) >= MAX_QUEUE:
            refusal = ServiceUnavailable("The journal is behind; try again.", retry_after=1)
            entry.resolve(error=refusal)
        else:
            self._queue.append(entry)
            self._wake.set()
        return entry.future

    async def _run(self) -> None:
        """Write batch after batch until closed and empty."""
        while True:
            if self._queue:
                self._batch = self._take()
                await self._write(self._batch)
                if self._folder.due(self._clock.monotonic(), FOLD_EVERY):
                    await self._fold()
                continue
            if self._closing:
                await self._fold()
                return
            await self._idle()

    async def _idle(self) -> None:
        """Wait for work; use the pause to fold."""
        self._wake.clear()
        try:
            async with asyncio.timeout(FOLD_EVERY if self._folder.behind else None):
                await self._wake.wait()
        except TimeoutError:
            await self._fold()

    def _take(self) -> Batch:
        batch = Batch(self._position)
        while self._queue and len(batch) < MAX_BATCH:
            batch.add(self._queue.popleft())
        self._position += len(batch)
        return batch

    async def _write(self, batch: Batch) -> None:
        """Write one batch, through outages, until its outcome is known."""
        while len(batch):
            try:
                rows = await self._send(batch)
            except AWAY:
                self._disconnect()
                await self._pause(batch)
            except PASSING:
                await self._pause(batch)
            except Exception as error:  # noqa: BLE001 - a bad entry must not end the writer
                await self._refused(batch, error)
                return
            else:
                self._settle(batch, rows)
                return

    async def _send(self, batch: Batch) -> Sequence[asyncpg.Record]:
        """Try to write a batch; returns a row for each entry that did not simply go in."""
        connection = await self._connected()
        arguments = batch.arguments(self._shard, self._epoch)
        unsure, batch.unsure = batch.unsure, True
        try:
            rows = await connection.fetch(_WRITE, *arguments)
        except AWAY:
            raise
        except Exception:
            batch.unsure = unsure
            raise
        return await self._foreign(batch, rows) if unsure else rows

    async def _foreign(self, batch: Batch, rows: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
        """Leave out the conflicts with our own first try, whose commit was not answered."""
        connection = await self._connected()
        stored = await connection.fetch(
            "SELECT position FROM task_events WHERE shard = $1 AND epoch = $2 AND position > $3",
            self._shard,
            self._epoch,
            batch.position,
        )
        ours = {row["position"] - batch.position for row in stored}
        return [row for row in rows if batch.ordinal(row) not in ours]

    async def _pause(self, batch: Batch) -> None:
        """Let a moment pass; refuse admissions that waited too long and were not written."""
        limit = self._clock.monotonic() - PATIENCE
        unsent = self._queue if batch.unsure else (*batch.admissions, *self._queue)
        late = {e for e in unsent if e.record and e.since < limit}
        for entry in late:
            refusal = ServiceUnavailable("The journal's database is away.", retry_after=2)
            entry.resolve(error=refusal)
        if late:
            batch.admissions = [e for e in batch.admissions if e not in late]
            self._queue = deque(e for e in self._queue if e not in late)
        await asyncio.sleep(PAUSE)

    async def _refused(self, batch: Batch, error: Exception) -> None:
        """Act on an error that another try would not mend."""
        if getattr(error, "sqlstate", None) == _STALE:
            self._fence(batch)
        elif len(batch) == 1:
            entry = (batch.admissions or batch.events)[0]
            entry.resolve(error=InternalFailure(f"The journal refused it: {error}"))
        else:  # one bad entry must not fail its neighbours
            for alone in batch.singles():
                await self._write(alone)

    def _fence(self, batch: Batch) -> None:
        """Stop writing: another writer owns the shard."""
        self._stale = StaleEpoch(f"Shard {self._shard!r} has a newer owner.")
        self._fail(batch, self._stale)

    def _fail(self, batch: Batch, error: Exception) -> None:
        """Answer a batch and everything behind it with an error."""
        for entry in (*batch.admissions, *batch.events, *self._queue):
            entry.resolve(error=error)
        self._queue.clear()

    def _settle(self, batch: Batch, rows: Sequence[asyncpg.Record]) -> None:
        """Tell everybody who waits what became of their entry."""
        odd = {row["place"]: row for row in rows}
        for place, entry in enumerate(batch.admissions, 1):
            assert entry.record
            row = odd.get(place)
            if row is None:
                self._folder.accepted(entry.record)
                entry.resolve(Verdict("accepted", entry.record.task_id))
            else:
                known = str(row["known"] or entry.record.task_id)
                verdict = Verdict(row["verdict"], known, row["budget"] or "", row["resets"] or 0.0)
                entry.resolve(verdict)
        for place, entry in enumerate(batch.events, 1):
            assert entry.event
            written = -place not in odd
            if written:
                self._folder.happened(entry.event)
            entry.resolve(written)
        self._folder.reached(batch.position + len(batch))

    async def _fold(self) -> None:
        if self._stale:
            return
        try:
            await self._folder.write(await self._connected(), self._epoch, self._clock.monotonic())
        except StaleEpoch:
            self._fence(Batch(0))
        except AWAY:
            self._disconnect()
        except asyncpg.PostgresError as error:  # the rows are kept for the next time
            log.warning("fold_failed", shard=self._shard, error=str(error))

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            try:
                self._connection = await asyncpg.connect(
                    self._url,
                    timeout=CONNECT_TIMEOUT,
                    command_timeout=COMMAND_TIMEOUT,
                    server_settings={"application_name": f"cartrita journal {self._shard}"},
                    **self._connect_options,
                )
            except asyncpg.PostgresError as error:  # no room, no such database yet, …
                raise ConnectionError(str(error)) from error
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.terminate()

    async def unfinished(self) -> AsyncIterator[tuple[TaskRecord, list[Event]]]:
        """Yield each accepted task of the shard that has no end, oldest first."""
        last = "00000000-0000-0000-0000-000000000000"
        connection: asyncpg.Connection = await asyncpg.connect(
            self._url,
            timeout=CONNECT_TIMEOUT,
            command_timeout=COMMAND_TIMEOUT,
            **self._connect_options,
        )
        try:
            while True:
                rows = await connection.fetch(
                    """SELECT e.*, e.task_id::text AS id FROM task_events e
                       WHERE e.task_id IN (
                           SELECT id FROM tasks WHERE shard = $1 AND finished_at IS NULL AND id > $2
                           ORDER BY id LIMIT $3) AND e.kind <> $4
                       ORDER BY e.task_id, e.step""",
                    self._shard,
                    last,
                    _RECOVER,
                    EventKind.STREAM,  # what its agent said is for readers
                )
                if not rows:
                    return
                for story in _stories(rows):
                    last = story[0].task_id
                    state = fold(story)
                    if state and not state.status.terminal:
                        yield state.record, story
        finally:
            await connection.close()

    async def close(self) -> None:
        """Write what is queued and let go of the connection."""
        self._closing = True
        self._wake.set()
        if self._writer:
            await asyncio.wait([self._writer], timeout=CLOSE_TIMEOUT)
            self._writer.cancel()
            away = ServiceUnavailable("The journal was closed while its database was away.")
            self._fail(self._batch, away)
        if self._connection:
            with suppress(*AWAY):
                await self._connection.close(timeout=CONNECT_TIMEOUT)
            self._connection = None


async def take_epoch(
    connection: asyncpg.Connection, shard: str, *, build: str, run: str
) -> tuple[int, int]:
    """Own a shard from now on; returns its new epoch and its restarts within this run."""
    row = await connection.fetchrow(
        """INSERT INTO shards AS s (id, epoch, build, run) VALUES ($1, 1, $2, $3)
           ON CONFLICT (id) DO UPDATE SET epoch = s.epoch + 1, build = $2, run = $3,
               restarts = CASE WHEN s.run = $3 THEN s.restarts + 1 ELSE 0 END, taken_at = now()
           RETURNING epoch, restarts""",
        shard,
        build,
        run,
    )
    assert row
    return row["epoch"], row["restarts"]


def read_event(row: asyncpg.Record) -> Event:
    """Read one row of `task_events` that also has the id as text."""
    return Event(
        row["id"],
        row["step"],
        EventKind(row["kind"]),
        unpack(row["data"]),
        row["at"].timestamp(),
        row["shard"],
        row["epoch"],
    )


def _stories(rows: Sequence[asyncpg.Record]) -> list[list[Event]]:
    """Group rows, ordered by task, into stories."""
    found: list[list[Event]] = []
    for row in rows:
        event = read_event(row)
        if not found or found[-1][0].task_id != event.task_id:
            found.append([])
        found[-1].append(event)
    return found
