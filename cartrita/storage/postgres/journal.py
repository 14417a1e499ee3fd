"""The journal's writer: what its lane writes, its folder tells the table of tasks."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg

from cartrita.channel.frames import pack, unpack
from cartrita.clock import Clock, SystemClock
from cartrita.cost.budget import Defaults
from cartrita.errors import InternalFailure, InvalidMessage, ServiceUnavailable
from cartrita.journal import Event, EventKind, Settlement, TaskRecord, Verdict
from cartrita.storage.postgres.batch import Entry, Purse, needs_care
from cartrita.storage.postgres.folding import Folder, changes
from cartrita.storage.postgres.lane import Lane, Seat
from cartrita.storage.postgres.outage import hang_up

MAX_QUEUE = 20_000
MAX_QUEUE_BYTES = 256 * 1024 * 1024
"""Of admissions; events are never refused, and bounded by the tasks that they are of."""

CLOSE_TIMEOUT = 30.0
"""Seconds that `close` tries to write what is queued."""

CONNECT_TIMEOUT = 3.0
COMMAND_TIMEOUT = 30.0
_RECOVER = 500

_FIRST = "00000000-0000-0000-0000-000000000000"
_UNFINISHED = """
SELECT e.*, e.task_id::text AS id FROM task_events e
WHERE e.task_id IN (
    SELECT id FROM tasks WHERE shard = $1 AND finished_at IS NULL AND id > $2 ORDER BY id LIMIT $3)
AND e.kind <> $4 ORDER BY e.task_id, e.step"""
# What is used of a budget whose period is over counts no more, though nobody touched it since.
_PRESSURES = """
SELECT r.task_id::text AS id, least(1, max(greatest(
    (b.reserved_nano_usd - r.nano_usd + n.usd)::float8 / nullif(b.max_nano_usd, 0),
    (b.reserved_tokens - r.tokens + n.tokens)::float8 / nullif(b.max_tokens, 0)))) AS pressure
FROM reservations r JOIN budgets b ON b.id = r.budget_id,
     LATERAL (SELECT CASE WHEN b.resets_at <= $2 THEN 0 ELSE b.used_nano_usd END AS usd,
                     CASE WHEN b.resets_at <= $2 THEN 0 ELSE b.used_tokens END AS tokens) n
WHERE r.task_id = ANY ($1::uuid[]) GROUP BY r.task_id"""
_LAST = "SELECT coalesce(max(position), 0) FROM task_events WHERE shard = $1"

_Left = tuple[TaskRecord, list[Event], float]


class PostgresJournal:
    """The one writer of a shard. Lives in the shard's supervisor.

    Everything goes one way, batch after batch. More ways at once were measured and bring
    nothing (docs/benchmarks.md): a batch has a fixed cost, and theirs are smaller.
    """

    def __init__(
        self,
        url: str,
        shard: str,
        *,
        build: str = "",
        run: str = "",
        clock: Clock | None = None,
        budgets: Defaults | None = None,
        **connect: Any,
    ) -> None:
        self._url, self._shard, self._build, self._run_id = url, shard, build, run
        self._clock = clock or SystemClock()
        self._connect_options = connect
        self._restarts = 0
        folder, purse = Folder(shard, self._clock), Purse(budgets or Defaults())
        self._seat = Seat(shard, self._clock, self._connect, folder, purse)
        self._lane = Lane(self._seat)
        self._working: list[asyncio.Task[None]] = []
        self._folding: list[asyncio.Task[None]] = []
        self._closing = False

    @property
    def epoch(self) -> int:
        """The incarnation this writer acts for; 0 before `open`."""
        return self._seat.epoch

    @property
    def restarts(self) -> int:
        """How often the shard was taken over in this life of the instance."""
        return self._restarts

    async def open(self) -> int:
        """Take a new epoch of the shard and begin to write."""
        seat, connection = self._seat, await self._connect()
        try:
            seat.epoch, self._restarts = await take_epoch(
                connection, self._shard, build=self._build, run=self._run_id
            )
            seat.position = await connection.fetchval(_LAST, self._shard)
            await seat.folder.catch_up(connection, seat.epoch)
        finally:
            await hang_up(connection)
        self._working.append(asyncio.create_task(self._lane.run(), name=f"journal {self._shard}"))
        folding = seat.folder.run(self._connect, seat.epoch)
        self._folding.append(asyncio.create_task(folding, name=f"fold {self._shard}"))
        return seat.epoch

    def admit(self, record: TaskRecord) -> asyncio.Future[Verdict]:
        """Queue a task for admission."""
        future = self._future()
        try:
            packed = record.pack()
        except InvalidMessage as error:
            return _failed(future, InternalFailure(f"The journal refused it: {error}"))
        since, now = self._clock.monotonic(), self._clock.now()
        entry = Entry(future, since, record.task_id, 0, 0, now, packed, record)
        entry.careful = needs_care(record, now)
        lane = self._lane
        if len(lane) >= MAX_QUEUE or lane.size >= MAX_QUEUE_BYTES:
            return _failed(
                future, ServiceUnavailable("The journal is behind; try again.", retry_after=1)
            )
        return self._put(entry)

    def append(self, event: Event, settlement: Settlement | None = None) -> asyncio.Future[bool]:
        """Queue an event."""
        future = self._future()
        try:
            data = pack(event.data)
        except InvalidMessage as error:
            return _failed(future, InternalFailure(f"The journal refused it: {error}"))
        told = event if changes(event.kind) else None
        at = event.at or self._clock.now()
        entry = Entry(future, 0.0, event.task_id, event.step, int(event.kind), at, data)
        entry.event, entry.settlement = told, settlement
        return self._put(entry)

    def _future(self) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    def _put(self, entry: Entry) -> asyncio.Future[Any]:
        if self._seat.stale or self._closing:
            entry.resolve(error=self._seat.stale or ServiceUnavailable("The journal is closed."))
        else:
            self._lane.put(entry)
        return entry.future

    async def _connect(self) -> asyncpg.Connection:
        try:
            return await asyncpg.connect(
                self._url,
                timeout=CONNECT_TIMEOUT,
                command_timeout=COMMAND_TIMEOUT,
                server_settings={
                    "application_name": f"cartrita journal {self._shard}",
                    # What waits for a lock must then see what its holder did.
                    "default_transaction_isolation": "read committed",
                },
                **self._connect_options,
            )
        except asyncpg.PostgresError as error:  # no room, no such database yet, …
            raise ConnectionError(str(error)) from error

    async def unfinished(self) -> AsyncIterator[_Left]:
        """Yield each accepted task of the shard that has no end, oldest first.

        The next page is on its way while one is gone through, and no more than two are held.
        """
        connection = await self._connect()
        page = asyncio.create_task(self._page(connection, _FIRST))
        try:
            while found := await page:
                page = asyncio.create_task(self._page(connection, found[-1][0].task_id))
                for record, story, pressure in found:
                    if not story[-1].kind.terminal:  # it ended a moment ago
                        yield record, story, pressure
        finally:
            page.cancel()
            await asyncio.wait([page])
            await hang_up(connection)

    async def _page(self, connection: asyncpg.Connection, after: str) -> list[_Left]:
        # What an agent said is for readers.
        rows = await connection.fetch(_UNFINISHED, self._shard, after, _RECOVER, EventKind.STREAM)
        stories = _stories(rows)
        known = await self._pressures(connection, [story[0].task_id for story in stories])
        return [
            (TaskRecord.from_wire(story[0].data), story, known.get(story[0].task_id, 0.0))
            for story in stories
        ]

    async def _pressures(
        self, connection: asyncpg.Connection, task_ids: list[str]
    ) -> dict[str, float]:
        """Return how full the budgets above tasks are without what these have reserved."""
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        rows = await connection.fetch(_PRESSURES, task_ids, now) if task_ids else []
        return {row["id"]: row["pressure"] or 0.0 for row in rows}

    async def close(self) -> None:
        """Write what is queued and let go of the connections."""
        self._closing = True
        lane = self._lane
        lane.finish()
        await _end(self._working)
        lane.fail(ServiceUnavailable("The journal was closed while its database was away."))
        await lane.close()
        self._seat.folder.finish()
        await _end(self._folding)


async def _end(work: list[asyncio.Task[None]]) -> None:
    """Wait until work is done, or its time is up."""
    if work:
        _, late = await asyncio.wait(work, timeout=CLOSE_TIMEOUT)
        for one in late:
            one.cancel()


def _failed(future: asyncio.Future[Any], error: Exception) -> asyncio.Future[Any]:
    future.set_exception(error)
    future.exception()  # nobody may be waiting
    return future


async def take_epoch(
    connection: asyncpg.Connection, shard: str, *, build: str, run: str
) -> tuple[int, int]:
    """Own a shard from now on; returns its new epoch and its restarts within this run."""
    row = await connection.fetchrow("SELECT * FROM take_shard($1, $2, $3)", shard, build, run)
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
