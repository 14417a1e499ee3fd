"""Keeps the `tasks` table a fold of `task_events`, a moment behind it."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import asyncpg

from cartrita.channel.frames import unpack
from cartrita.clock import Clock
from cartrita.errors import StaleEpoch
from cartrita.journal import NOTHING, STATUS_IN, STATUS_OF, Event, EventKind, Settlement, TaskRecord
from cartrita.protocol.task import TaskStatus
from cartrita.storage.postgres.batch import array
from cartrita.storage.postgres.outage import AWAY, STALE, Connect, hang_up
from cartrita.telemetry.log import get_logger

log = get_logger(__name__)

_CHUNK = 1000
"""Rows of one transaction: a few milliseconds, for which nothing else happens here."""

FOLD_EVERY = 0.25
"""Seconds the table may lag behind its events."""

LAST_TRIES = 3

MOST_ROWS = 100_000
"""Rows that wait in memory while the table cannot be written; beyond, they are read back."""

_FOLD = """SELECT fold_tasks($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
                             $13, $14, $15, $16, $17, $18, $19)"""

# What an agent said is most of a story's bytes, and changes no row.
_UNFOLDED = """
SELECT *, task_id::text AS id FROM task_events
WHERE shard = $1 AND position > $2 AND kind <> $4 ORDER BY position LIMIT $3"""

_END = int(EventKind.COMPLETED)


@dataclass(slots=True)
class _Row:
    """What is to be written of one task. Without a record its row exists already."""

    record: TaskRecord | None = None
    status: TaskStatus = TaskStatus.PENDING
    error_code: str | None = None
    reason: str | None = None
    used: Settlement = NOTHING
    finished_at: float = 0.0

    def shared(self) -> tuple[Any, ...]:
        """Return what it has in common with many others."""
        record = self.record
        if record is None:
            return (None, None, None, None, self.status, self.error_code, self.reason)
        user, tenant = record.principal.user, record.principal.tenant
        told = (self.status, self.error_code, self.reason)
        return (user, tenant, record.task_type, record.priority, *told)


class Folder:
    """The rows of one shard that changed since the last write."""

    def __init__(self, shard: str, clock: Clock) -> None:
        self._shard, self._clock = shard, clock
        self._rows: dict[str, _Row] = {}
        self._position = 0
        self._lost = False
        self._connection: asyncpg.Connection | None = None
        self._failed = ""
        self._news, self._finishing = asyncio.Event(), asyncio.Event()

    @property
    def behind(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._rows) or self._lost

    def accepted(self, record: TaskRecord) -> None:
        """Note that a task was accepted."""
        self._row(record.task_id).record = record

    def happened(self, event: Event) -> None:
        """Note an event that is durable and changes where its task stands."""
        row, kind, data = self._row(event.task_id), event.kind, event.data
        if kind >= _END:
            row.status = STATUS_OF[kind]
            row.error_code, row.reason = data.get("errorCode"), data.get("reason")
            row.finished_at = event.at or self._clock.now()
            row.used = Settlement.of(data)
        elif not row.finished_at:
            row.status = STATUS_IN[kind]

    def _row(self, task_id: str) -> _Row:
        row = self._rows.get(task_id)
        if row is None:
            if len(self._rows) >= MOST_ROWS:
                self._rows, self._lost = {}, True
            row = self._rows[task_id] = _Row()
            self._news.set()
        return row

    def reached(self, position: int) -> None:
        """Note how far the events have come."""
        self._position = position

    async def run(self, connect: Connect, epoch: int) -> None:
        """Write a moment behind the events, until `finish` or until the shard is another's."""
        try:
            while not self._finishing.is_set():
                await self._news.wait()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._finishing.wait(), FOLD_EVERY)
                await self._try(connect, epoch)
            for _ in range(LAST_TRIES):
                await self._try(connect, epoch)
        except StaleEpoch:
            pass  # its owner folds what we did not
        finally:
            if self._connection:
                await hang_up(self._connection)

    async def _try(self, connect: Connect, epoch: int) -> None:
        """Write what there is to write; what cannot be written is kept for the next time."""
        self._news.clear()
        if not self.behind:
            return
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await connect()
            await self.write(self._connection, epoch)
            self._failed = ""
        except (*AWAY, asyncpg.PostgresError) as error:
            self._news.set()
            if self._connection:
                self._connection.terminate()
            if str(error) != self._failed:  # once, however often it is tried again
                self._failed = str(error)
                log.warning("fold_failed", shard=self._shard, error=self._failed)

    def finish(self) -> None:
        """Have `run` write the rest and return."""
        self._finishing.set()
        self._news.set()

    async def write(self, connection: asyncpg.Connection, epoch: int) -> None:
        """Bring the table up to date.

        Raises:
            StaleEpoch: A newer writer owns the shard, and folds it.
        """
        if self._lost:
            self._lost = False
            try:
                await self.catch_up(connection, epoch)
            except BaseException:
                self._lost = True
                raise
        while self._rows:
            await self._write_some(connection, epoch)

    async def _write_some(self, connection: asyncpg.Connection, epoch: int) -> None:
        rows, position = self._rows, self._position
        if len(rows) > _CHUNK:
            rows = dict(islice(rows.items(), _CHUNK))
            for task_id in rows:
                del self._rows[task_id]
            position = 0  # only with the last of them is the table as far as the events
        else:
            self._rows = {}
        try:
            await connection.execute(_FOLD, self._shard, epoch, position, *_arguments(rows))
        except BaseException as error:
            self._put_back(rows)
            if getattr(error, "sqlstate", None) == STALE:
                raise StaleEpoch(f"Shard {self._shard!r} has a newer owner.") from error
            raise

    def _put_back(self, rows: Mapping[str, _Row]) -> None:
        """Have rows written the next time, below what happened since."""
        for task_id, row in rows.items():
            later = self._rows.setdefault(task_id, row)
            later.record = later.record or row.record

    async def catch_up(self, connection: asyncpg.Connection, epoch: int) -> None:
        """Fold what was journaled and not folded, here or by an earlier writer."""
        position: int = await connection.fetchval(
            "SELECT folded FROM shards WHERE id = $1", self._shard
        )
        while True:
            found = await connection.fetch(
                _UNFOLDED, self._shard, position, _CHUNK, int(EventKind.STREAM)
            )
            if not found:
                return
            past = Folder(self._shard, self._clock)
            for row in found:
                past.replay(row)
            position = found[-1]["position"]
            past.reached(position)
            await past.write(connection, epoch)

    def replay(self, row: asyncpg.Record) -> None:
        """Note a row of `task_events`."""
        kind, data = EventKind(row["kind"]), unpack(row["data"])
        if kind is EventKind.ACCEPTED:
            self.accepted(TaskRecord.from_wire(data))
        elif changes(kind):
            self.happened(Event(row["id"], row["step"], kind, data, row["at"].timestamp()))


def changes(kind: EventKind) -> bool:
    """Tell whether an event of a kind changes where its task stands."""
    return kind >= _END or kind in STATUS_IN


def _arguments(rows: Mapping[str, _Row]) -> list[Any]:
    """Return what `fold_tasks` is told about tasks: what many share only once."""
    shared: dict[tuple[Any, ...], int] = {}
    places = [str(shared.setdefault(row.shared(), len(shared) + 1)) for row in rows.values()]
    records = [row.record for row in rows.values()]
    return [
        *map(list, zip(*shared, strict=True)),
        array(rows),
        array(places),
        array([str(row.used.nano_usd) for row in rows.values()]),
        array([str(row.used.tokens) for row in rows.values()]),
        array([repr(record.accepted_at) if record else "NULL" for record in records]),
        array([repr(row.finished_at) if row.finished_at else "NULL" for row in rows.values()]),
        _kin([record.parent if record else None for record in records]),
        _kin([record.retry_of if record else None for record in records]),
        _few([record.session_id if record else None for record in records]),
    ]


def _kin(ids: Sequence[str | None]) -> str:
    """Return ids; none at all, which reads as nothing for each, where each is missing."""
    return array(one or "NULL" for one in ids) if any(ids) else "{}"


def _few(texts: list[str | None]) -> list[str | None]:
    return texts if any(texts) else []
