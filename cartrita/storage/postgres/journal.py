"""The journal's writer: everything that waits goes into one transaction.

While one batch is on its way to the disk, whatever comes queues up and is the next batch, so
there is no linger timer and one commit pays for up to `MAX_BATCH` tasks.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from cartrita.channel.frames import pack, unpack
from cartrita.clock import Clock, SystemClock
from cartrita.errors import InternalFailure, ServiceUnavailable, StaleEpoch
from cartrita.journal import Event, EventKind, Settlement, TaskRecord, Verdict, fold
from cartrita.storage.postgres.folding import Folder

MAX_BATCH = 1000
MAX_QUEUE = 20_000
PATIENCE = 2.0
"""Seconds an admission waits for a database that is away before it is refused."""

FOLD_EVERY = 0.25
"""Seconds the `tasks` table may lag behind its events."""

COMMAND_TIMEOUT = 30.0
_STALE = "CT001"
_RECOVER = 500

_WRITE = """SELECT * FROM journal_write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
                                        $13, $14, $15, $16, $17, $18, $19)"""

# What a lost or restarting server looks like. Everything else is a defect of the batch.
_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)


@dataclass(slots=True, eq=False)
class _Entry:
    """One thing to write, and who waits for it."""

    future: asyncio.Future[Any]
    since: float
    record: TaskRecord | None = None
    event: Event | None = None
    settlement: Settlement | None = None
    sent: bool = False


@dataclass(slots=True)
class _Batch:
    """Entries in the order of their positions: admissions first."""

    position: int
    admissions: list[_Entry] = field(default_factory=list)
    events: list[_Entry] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.admissions) + len(self.events)


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
        self._queue: deque[_Entry] = deque()
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
        await self._folder.catch_up(connection)
        self._writer = asyncio.create_task(self._run(), name=f"journal {self._shard}")
        return self._epoch

    def admit(self, record: TaskRecord) -> asyncio.Future[Verdict]:
        """Queue a task for admission."""
        return self._put(_Entry(self._future(), self._clock.monotonic(), record=record))

    def append(self, event: Event, settlement: Settlement | None = None) -> asyncio.Future[bool]:
        """Queue an event."""
        entry = _Entry(self._future(), self._clock.monotonic(), event=event, settlement=settlement)
        return self._put(entry)

    def _future(self) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    def _put(self, entry: _Entry) -> asyncio.Future[Any]:
        if self._stale or self._closing:
            entry.future.set_exception(self._stale or ServiceUnavailable("The journal is closed."))
        elif entry.record and len(self._queue) >= MAX_QUEUE:
            refusal = ServiceUnavailable("The journal is behind; try again.", retry_after=1)
            entry.future.set_exception(refusal)
        else:
            self._queue.append(entry)
            self._wake.set()
        return entry.future

    async def _run(self) -> None:
        """Write batch after batch until closed and empty."""
        while True:
            if self._queue:
                await self._write(self._take())
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

    def _take(self) -> _Batch:
        batch = _Batch(self._position)
        while self._queue and len(batch) < MAX_BATCH:
            entry = self._queue.popleft()
            (batch.admissions if entry.record else batch.events).append(entry)
        self._position += len(batch)
        return batch

    async def _write(self, batch: _Batch) -> None:
        """Write one batch, through outages, until its outcome is known."""
        tries = 0
        while True:
            try:
                connection = await self._connected()
                tries += 1
                rows = await connection.fetch(_WRITE, *self._arguments(batch))
            except _AWAY:
                await self._outage(batch)
                if not len(batch):
                    return
            except asyncpg.PostgresError as error:
                await self._refused(batch, error)
                return
            else:
                self._settle(batch, await self._own(batch, rows) if tries > 1 else rows)
                return

    async def _outage(self, batch: _Batch) -> None:
        """Drop the connection, refuse admissions that waited too long unsent, and pause."""
        connection, self._connection = self._connection, None
        if connection:
            connection.terminate()
        limit = self._clock.monotonic() - PATIENCE
        unsent = [e for e in (*batch.admissions, *self._queue) if e.record and not e.sent]
        late = {e for e in unsent if e.since < limit}
        for entry in late:
            refusal = ServiceUnavailable("The journal's database is away.", retry_after=2)
            _resolve(entry.future, error=refusal)
        if late:
            batch.admissions = [e for e in batch.admissions if e not in late]
            self._queue = deque(e for e in self._queue if e not in late)
        await asyncio.sleep(0.1)

    async def _refused(self, batch: _Batch, error: asyncpg.PostgresError) -> None:
        """Act on an error that another try would not mend."""
        if error.sqlstate == _STALE:
            self._stale = StaleEpoch(f"Shard {self._shard!r} has a newer owner.")
            for entry in (*batch.admissions, *batch.events, *self._queue):
                _resolve(entry.future, error=self._stale)
            self._queue.clear()
        elif len(batch) == 1:
            entry = (batch.admissions or batch.events)[0]
            _resolve(entry.future, error=InternalFailure(f"The journal refused it: {error}"))
        else:  # one bad entry must not fail its neighbours
            place = batch.position
            for entry in batch.admissions:
                await self._write(_Batch(place, admissions=[entry]))
                place += 1
            for entry in batch.events:
                await self._write(_Batch(place, events=[entry]))
                place += 1

    def _arguments(self, batch: _Batch) -> list[Any]:
        records = [entry.record for entry in batch.admissions if entry.record]
        events = [entry.event for entry in batch.events if entry.event]
        careful = [
            (place, record)
            for place, record in enumerate(records, 1)
            if record.idempotency_key or record.reserve_nano or record.reserve_tokens
        ]
        settled = [
            (e.event.task_id, e.settlement) for e in batch.events if e.event and e.settlement
        ]
        for entry in batch.admissions:
            entry.sent = True
        return [
            self._shard,
            self._epoch,
            batch.position,
            [record.task_id for record in records],
            [pack(record.to_wire()) for record in records],
            [place for place, _ in careful],
            [record.principal.user for _, record in careful],
            [record.idempotency_key for _, record in careful],
            [record.digest for _, record in careful],
            [",".join(budgets_of(record)) for _, record in careful],
            [record.reserve_nano for _, record in careful],
            [record.reserve_tokens for _, record in careful],
            [event.task_id for event in events],
            [event.step for event in events],
            [int(event.kind) for event in events],
            [pack(event.data) for event in events],
            [task_id for task_id, _ in settled],
            [used.nano_usd for _, used in settled],
            [used.tokens for _, used in settled],
        ]

    async def _own(self, batch: _Batch, rows: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
        """Leave out the conflicts with our own first try, whose commit was not answered."""
        connection = await self._connected()
        stored = await connection.fetch(
            "SELECT position FROM task_events WHERE shard = $1 AND epoch = $2 AND position > $3",
            self._shard,
            self._epoch,
            batch.position,
        )
        ours = {row["position"] - batch.position for row in stored}
        return [
            row
            for row in rows
            if (row["place"] if row["place"] > 0 else _event_place(batch, row)) not in ours
        ]

    def _settle(self, batch: _Batch, rows: Sequence[asyncpg.Record]) -> None:
        """Tell everybody who waits what became of their entry."""
        odd = {row["place"]: row for row in rows}
        for place, entry in enumerate(batch.admissions, 1):
            assert entry.record
            row = odd.get(place)
            if row is None:
                self._folder.accepted(entry.record)
                _resolve(entry.future, Verdict("accepted", entry.record.task_id))
            else:
                known = str(row["known"] or entry.record.task_id)
                verdict = Verdict(row["verdict"], known, row["budget"] or "", row["resets"] or 0.0)
                _resolve(entry.future, verdict)
        for place, entry in enumerate(batch.events, 1):
            assert entry.event
            written = -place not in odd
            if written:
                self._folder.happened(entry.event)
            _resolve(entry.future, written)
        self._folder.reached(batch.position + len(batch))

    async def _fold(self) -> None:
        if self._stale:
            return
        try:
            await self._folder.write(await self._connected(), self._clock.monotonic())
        except _AWAY:
            if self._connection:
                self._connection.terminate()
            self._connection = None

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._url,
                timeout=5,
                command_timeout=COMMAND_TIMEOUT,
                server_settings={"application_name": f"cartrita journal {self._shard}"},
                **self._connect_options,
            )
        return self._connection

    async def unfinished(self) -> AsyncIterator[tuple[TaskRecord, list[Event]]]:
        """Yield each accepted task of the shard that has no end, oldest first."""
        last = "00000000-0000-0000-0000-000000000000"
        connection: asyncpg.Connection = await asyncpg.connect(
            self._url, timeout=5, command_timeout=COMMAND_TIMEOUT, **self._connect_options
        )
        try:
            while True:
                rows = await connection.fetch(
                    """SELECT e.*, e.task_id::text AS id FROM task_events e
                       WHERE e.task_id IN (
                           SELECT id FROM tasks WHERE shard = $1 AND finished_at IS NULL AND id > $2
                           ORDER BY id LIMIT $3)
                       ORDER BY e.task_id, e.step""",
                    self._shard,
                    last,
                    _RECOVER,
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
            await asyncio.wait([self._writer], timeout=COMMAND_TIMEOUT)
            self._writer.cancel()
        if self._connection:
            await self._connection.close()


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


def budgets_of(record: TaskRecord) -> list[str]:
    """Return the ids of the budgets a task is charged to."""
    return [f"user:{record.principal.user}", f"tenant:{record.principal.tenant}"]


def _event_place(batch: _Batch, row: asyncpg.Record) -> int:
    return len(batch.admissions) - int(row["place"])


def _resolve(
    future: asyncio.Future[Any], value: Any = None, error: Exception | None = None
) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
        future.exception()  # nobody may be waiting any more


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


class PostgresStories:
    """Reads tasks through a pool; any process may have one."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def story(self, task_id: str) -> list[Event]:
        """Return every durable event of a task in order."""
        try:
            rows = await self._pool.fetch(
                "SELECT *, task_id::text AS id FROM task_events WHERE task_id = $1 ORDER BY step",
                task_id,
                timeout=COMMAND_TIMEOUT,
            )
        except _AWAY as error:
            raise ServiceUnavailable("The journal's database is away.", retry_after=2) from error
        return [read_event(row) for row in rows]
