"""Keeps the `tasks` table a fold of `task_events`, a moment behind it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from cartrita.channel.frames import unpack
from cartrita.errors import StaleEpoch
from cartrita.journal import STATUS_IN, STATUS_OF, Event, EventKind, Settlement, TaskRecord
from cartrita.protocol.task import TaskStatus

_CHUNK = 2000

_UPSERT = """
INSERT INTO tasks AS t (id, shard, user_id, tenant, task_type, status, priority, error_code,
                        reason, nano_usd, tokens, accepted_at, finished_at, parent, retry_of,
                        session_id)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
    $7::smallint[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::timestamptz[],
    $13::timestamptz[], $14::uuid[], $15::uuid[], $16::text[])
ON CONFLICT (id) DO UPDATE SET status = excluded.status, error_code = excluded.error_code,
    reason = excluded.reason, nano_usd = excluded.nano_usd, tokens = excluded.tokens,
    finished_at = excluded.finished_at
WHERE t.finished_at IS NULL"""

_FINISH = """
UPDATE tasks t SET status = u.status, error_code = u.error_code, reason = u.reason,
    nano_usd = u.nano_usd, tokens = u.tokens, finished_at = u.finished_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
    $7::timestamptz[])
    AS u (id, status, error_code, reason, nano_usd, tokens, finished_at)
WHERE t.id = u.id AND t.finished_at IS NULL"""

# First of all, so that a zombie cannot write its older view over its successor's.
_REACH = """
UPDATE shards SET folded = greatest(folded, $3) WHERE id = $1 AND epoch = $2 RETURNING true"""

# What an agent said is most of a story's bytes, and changes no row.
_UNFOLDED = """
SELECT *, task_id::text AS id FROM task_events
WHERE shard = $1 AND position > $2 AND kind <> $4 ORDER BY position LIMIT $3"""

_NOTHING = Settlement()


@dataclass(slots=True)
class _Row:
    """What is to be written of one task. Without a record its row exists already."""

    record: TaskRecord | None = None
    status: TaskStatus = TaskStatus.PENDING
    error_code: str | None = None
    reason: str | None = None
    used: Settlement = _NOTHING
    finished_at: datetime | None = None


class Folder:
    """The rows of one shard that changed since the last write."""

    def __init__(self, shard: str) -> None:
        self._shard = shard
        self._rows: dict[str, _Row] = {}
        self._position = 0
        self._last = 0.0

    @property
    def behind(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._rows)

    def due(self, now: float, every: float) -> bool:
        """Tell whether the table has lagged for `every` seconds."""
        return self.behind and now - self._last >= every

    def accepted(self, record: TaskRecord) -> None:
        """Note that a task was accepted."""
        self._rows.setdefault(record.task_id, _Row()).record = record

    def happened(self, event: Event) -> None:
        """Note an event that is durable."""
        if not event.kind.terminal and event.kind not in STATUS_IN:
            return  # a row made for it would say PENDING
        row = self._rows.setdefault(event.task_id, _Row())
        if event.kind.terminal:
            row.status = STATUS_OF[event.kind]
            row.error_code, row.reason = event.data.get("errorCode"), event.data.get("reason")
            row.finished_at = datetime.fromtimestamp(event.at, UTC) if event.at else _now()
            row.used = Settlement.of(event.data)
        elif row.finished_at is None:
            row.status = STATUS_IN[event.kind]

    def reached(self, position: int) -> None:
        """Note how far the events have come."""
        self._position = position

    async def write(self, connection: asyncpg.Connection, epoch: int, now: float) -> None:
        """Bring the table up to date.

        Raises:
            StaleEpoch: A newer writer owns the shard, and folds it.
        """
        rows, self._rows = self._rows, {}
        position = self._position
        self._last = now
        if not rows:
            return
        try:
            async with connection.transaction():
                await self._reach(connection, epoch, position)
                await connection.execute(_UPSERT, *self._upserts(rows))
                await connection.execute(_FINISH, *_finishes(rows))
        except BaseException:
            self._rows = {**rows, **self._rows}
            raise

    async def _reach(self, connection: asyncpg.Connection, epoch: int, position: int) -> None:
        """Note in the database how far the table has come, if the shard is still ours."""
        if not await connection.fetchval(_REACH, self._shard, epoch, position):
            raise StaleEpoch(f"Shard {self._shard!r} has a newer owner.")

    def _upserts(self, rows: dict[str, _Row]) -> list[list[Any]]:
        whole = [(row.record, row) for row in rows.values() if row.record]
        return [
            [record.task_id for record, _ in whole],
            [self._shard for _ in whole],
            [record.principal.user for record, _ in whole],
            [record.principal.tenant for record, _ in whole],
            [record.task_type for record, _ in whole],
            [row.status.value for _, row in whole],
            [record.priority for record, _ in whole],
            [row.error_code for _, row in whole],
            [row.reason for _, row in whole],
            [row.used.nano_usd for _, row in whole],
            [row.used.tokens for _, row in whole],
            [datetime.fromtimestamp(record.accepted_at, UTC) for record, _ in whole],
            [row.finished_at for _, row in whole],
            [record.parent for record, _ in whole],
            [record.retry_of for record, _ in whole],
            [record.session_id for record, _ in whole],
        ]

    async def catch_up(self, connection: asyncpg.Connection, epoch: int) -> None:
        """Fold what an earlier writer journaled and did not fold."""
        position: int = await connection.fetchval(
            "SELECT folded FROM shards WHERE id = $1", self._shard
        )
        while True:
            rows = await connection.fetch(
                _UNFOLDED, self._shard, position, _CHUNK, int(EventKind.STREAM)
            )
            if not rows:
                return
            for row in rows:
                self._replay(row)
            position = rows[-1]["position"]
            self.reached(position)
            await self.write(connection, epoch, 0.0)

    def _replay(self, row: asyncpg.Record) -> None:
        kind, data = EventKind(row["kind"]), unpack(row["data"])
        if kind is EventKind.ACCEPTED:
            self.accepted(TaskRecord.from_wire(data))
        else:
            event = Event(row["id"], row["step"], kind, data, row["at"].timestamp())
            self.happened(event)


def _finishes(rows: dict[str, _Row]) -> list[list[Any]]:
    ended = [(key, row) for key, row in rows.items() if row.record is None]
    return [
        [key for key, _ in ended],
        [row.status.value for _, row in ended],
        [row.error_code for _, row in ended],
        [row.reason for _, row in ended],
        [row.used.nano_usd for _, row in ended],
        [row.used.tokens for _, row in ended],
        [row.finished_at for _, row in ended],
    ]


def _now() -> datetime:
    return datetime.now(UTC)
