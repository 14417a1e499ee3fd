"""Keeps the effect ledger in PostgreSQL: each shard's writer, and the book for people."""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from cartrita.effects import Finding, State, from_json, to_json
from cartrita.errors import InternalFailure, ServiceUnavailable, StaleEpoch
from cartrita.ledger import EffectRow, Intent, Past
from cartrita.storage.postgres.outage import AWAY, PASSING
from cartrita.storage.postgres.runtime import Tables

MOST_AT_ONCE = 500
MOST_WAITING = 20_000
PAUSE = 0.1
"""Seconds between tries to reach a database that is away."""

CLOSE_TIMEOUT = 10.0
"""Seconds that `close` tries to write what is queued."""

CONNECT_TIMEOUT = 3.0
COMMAND_TIMEOUT = 30.0
_STALE = "CT001"

_WRITE = "SELECT * FROM effects_write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
_PAST = "SELECT root, id, name, state FROM effects WHERE root = ANY($1) ORDER BY id"

# Of those that are open each is looked at; the index holds no others.
_SEEN = "SELECT e.*, effect_stands(e) AS stands FROM effects e"
_OPEN = f"""{_SEEN}
WHERE e.state IN ('begun', 'unknown') AND effect_stands(e) = $2
    AND ($1::text IS NULL OR e.user_id = $1) AND ($4::uuid IS NULL OR e.id < $4)
ORDER BY e.id DESC LIMIT $3
"""
_ENDED = f"""{_SEEN}
WHERE e.state = $2 AND ($1::text IS NULL OR e.user_id = $1) AND ($4::uuid IS NULL OR e.id < $4)
ORDER BY e.id DESC LIMIT $3
"""
_OF_WORK = f"{_SEEN} WHERE e.root = $1 ORDER BY e.begun_at, e.id"
_FIND = f"{_SEEN} WHERE e.id = $1"
_RESOLVE = """
UPDATE effects e SET state = $2, result = $3, ended_at = now(), settled_by = $4
WHERE e.id = $1 AND effect_stands(e) = 'unknown' RETURNING true
"""


class _Line(NamedTuple):
    """What one attempt says of one effect."""

    verb: str
    intent: Intent
    state: str
    result: str


@dataclass(slots=True, eq=False)
class _Entry:
    """A line, and who waits for what then stands."""

    line: _Line
    future: asyncio.Future[Finding]

    def fail(self, error: Exception) -> None:
        """Say that it was not written."""
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # nobody may be waiting any more


class PostgresLedger:
    """One shard's ledger. Lives in the shard's supervisor.

    It connects when the first effect comes, and writes in one transaction whatever came while
    the last one was on its way.

    Args:
        url: The migrated database.
        shard: Whose.
        epoch: The shard's, as its journal took it.
    """

    def __init__(self, url: str, shard: str, epoch: int, **connect: Any) -> None:
        self._url, self._shard, self._epoch, self._options = url, shard, epoch, connect
        self._connection: asyncpg.Connection | None = None
        self._queue: deque[_Entry] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._over: Exception | None = None
        self._alone = 0  # so many of the next are sent one by one

    def begin(self, intent: Intent) -> asyncio.Future[Finding]:
        """Let an attempt act, unless something else is known."""
        refusal = None
        if len(self._queue) >= MOST_WAITING:
            refusal = ServiceUnavailable("The effect ledger is behind; try again.", retry_after=1)
        return self._put(_Line("begin", intent, "", ""), refusal)

    def end(self, intent: Intent, finding: Finding, *, of: State) -> asyncio.Future[Finding]:
        """Say what became of an effect, and return what stands."""
        return self._put(_Line(of.value, intent, finding.state.value, to_json(finding.result)))

    def _put(self, line: _Line, refusal: Exception | None = None) -> asyncio.Future[Finding]:
        entry = _Entry(line, asyncio.get_running_loop().create_future())
        error = self._over or refusal
        if error is not None:
            entry.fail(error)
            return entry.future
        self._queue.append(entry)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name=f"ledger {self._shard}")
        return entry.future

    async def _write(self) -> None:
        """Write batch after batch until nothing is queued."""
        while batch := self._take():
            try:
                await self._deliver(batch)
            except BaseException as error:
                self._queue.extendleft(reversed(batch))  # once more: that changes nothing
                if not isinstance(error, (*AWAY, *PASSING)):
                    raise  # it is being closed
                await asyncio.sleep(PAUSE)

    async def _deliver(self, batch: list[_Entry]) -> None:
        """Write a batch and answer those who wait.

        Raises:
            OSError: Or another of `AWAY` and `PASSING`: it is to be sent again.
        """
        try:
            found = await self._send(batch)
        except AWAY:
            self._disconnect()
            raise
        except PASSING:
            raise
        except Exception as error:  # noqa: BLE001 - a bad entry must not end the writer
            self._refused(batch, error)
            return
        for entry, finding in zip(batch, found, strict=True):
            if not entry.future.done():
                entry.future.set_result(finding)

    def _take(self) -> list[_Entry]:
        """Take what is next, without beginnings that nobody waits for any more."""
        batch: list[_Entry] = []
        most = 1 if self._alone else MOST_AT_ONCE
        self._alone = max(self._alone - 1, 0)
        while self._queue and len(batch) < most:
            entry = self._queue.popleft()
            if not (entry.future.cancelled() and entry.line.verb == "begin"):
                batch.append(entry)
        return batch

    async def _send(self, batch: Sequence[_Entry]) -> list[Finding]:
        """Write a batch; returns what stands after each of its entries."""
        lines = [entry.line for entry in batch]
        intents = [line.intent for line in lines]
        connection = await self._connected()
        rows = await connection.fetch(
            _WRITE,
            self._shard,
            self._epoch,
            [line.verb for line in lines],
            [one.id for one in intents],
            [one.root for one in intents],
            [one.task_id for one in intents],
            [one.attempt for one in intents],
            [one.task_type for one in intents],
            [one.user for one in intents],
            [one.tenant for one in intents],
            [one.name for one in intents],
            [one.key for one in intents],
            [line.state for line in lines],
            [line.result for line in lines],
        )
        return [Finding(State(row["stands"]), from_json(row["told"])) for row in rows]

    def _refused(self, batch: list[_Entry], error: Exception) -> None:
        """Act on an error that another try would not mend."""
        if getattr(error, "sqlstate", None) == _STALE:
            self._fail(StaleEpoch(f"Shard {self._shard!r} has a newer owner."), batch)
        elif len(batch) == 1:
            batch[0].fail(InternalFailure(f"The effect ledger refused it: {error}"))
        else:  # one bad entry must not fail its neighbours
            self._queue.extendleft(reversed(batch))
            self._alone = len(batch)

    def _fail(self, error: Exception, batch: Sequence[_Entry] = ()) -> None:
        """Refuse everything from now on."""
        self._over = error
        for entry in (*batch, *self._queue):
            entry.fail(error)
        self._queue.clear()

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    async def _connect(self) -> asyncpg.Connection:
        try:
            return await asyncpg.connect(
                self._url,
                timeout=CONNECT_TIMEOUT,
                command_timeout=COMMAND_TIMEOUT,
                server_settings={"application_name": f"cartrita ledger {self._shard}"},
                **self._options,
            )
        except asyncpg.PostgresError as error:  # no room, no such database yet, …
            raise ConnectionError(str(error)) from error

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.terminate()

    async def past(self, roots: Sequence[str]) -> dict[str, list[Past]]:
        """Return what earlier attempts left, by root."""
        found: dict[str, list[Past]] = {}
        try:
            connection = await self._connect()
            try:
                rows = await connection.fetch(_PAST, roots)
            finally:
                await connection.close(timeout=CONNECT_TIMEOUT)
        except AWAY as error:
            raise ServiceUnavailable("The effect ledger is away.", retry_after=2) from error
        for row in rows:
            state = State.UNKNOWN if row["state"] == State.BEGUN else State(row["state"])
            found.setdefault(str(row["root"]), []).append(Past(str(row["id"]), row["name"], state))
        return found

    async def close(self) -> None:
        """Write what is queued and let go of the connection."""
        writer, self._over = self._writer, self._over or ServiceUnavailable("The ledger is closed.")
        if writer:
            await asyncio.wait([writer], timeout=CLOSE_TIMEOUT)
            writer.cancel()
            await asyncio.wait([writer])
        self._fail(self._over)
        if self._connection:
            with suppress(*AWAY):
                await self._connection.close(timeout=CONNECT_TIMEOUT)
            self._connection = None


class PostgresEffectBook(Tables):
    """All shards' effects, for people."""

    async def page(
        self, user: str | None, state: State, limit: int, before: str | None
    ) -> list[EffectRow]:
        """Return effects, those of the newest tasks first."""
        query = _OPEN if state in (State.BEGUN, State.UNKNOWN) else _ENDED
        below = UUID(before) if before else None
        async with self._connection() as connection:
            rows = await connection.fetch(query, user, state.value, limit, below)
        return [_row(row) for row in rows]

    async def of_work(self, root: str) -> list[EffectRow]:
        """Return the effects of a task and of those that try it again."""
        async with self._connection() as connection:
            rows = await connection.fetch(_OF_WORK, UUID(root))
        return [_row(row) for row in rows]

    async def find(self, effect_id: str) -> EffectRow | None:
        """Return an effect."""
        async with self._connection() as connection:
            row = await connection.fetchrow(_FIND, UUID(effect_id))
        return _row(row) if row else None

    async def resolve(self, effect_id: str, finding: Finding, by: str) -> bool:
        """Decide about an unknown effect."""
        told = (finding.state.value, to_json(finding.result), by)
        async with self._connection() as connection:
            return bool(await connection.fetchval(_RESOLVE, UUID(effect_id), *told))


def _row(row: asyncpg.Record) -> EffectRow:
    return EffectRow(
        str(row["id"]),
        str(row["task_id"]),
        row["task_type"],
        row["user_id"],
        row["tenant"],
        row["name"],
        row["key"],
        row["attempt"],
        State(row["stands"]),
        from_json(row["result"]),
        row["begun_at"].timestamp(),
        row["ended_at"].timestamp() if row["ended_at"] else None,
        row["settled_by"],
    )
