"""The effect ledger without a database, over the tables of the journal in memory."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from cartrita.clock import Clock, SystemClock
from cartrita.effects import Finding, State, from_json, to_json
from cartrita.errors import ServiceUnavailable, StaleEpoch
from cartrita.ledger import EffectRow, Intent, Past
from cartrita.storage.memory_journal import EffectEntry, JournalTables


class InMemoryLedger:
    """One shard's ledger.

    Args:
        tables: Shared with the journals.
        shard: Whose.
        epoch: The shard's, as its journal took it.
    """

    def __init__(
        self, tables: JournalTables, shard: str, epoch: int, clock: Clock | None = None
    ) -> None:
        self._tables, self._shard, self._epoch = tables, shard, epoch
        self._clock, self._closed = clock or SystemClock(), False

    def begin(self, intent: Intent) -> asyncio.Future[Finding]:
        """Let an attempt act, unless something else is known."""
        future = self._future()
        if not future.done():
            future.set_result(self._begin(intent))
        return future

    def _begin(self, intent: Intent) -> Finding:
        held = self._tables.effects.get(intent.id)
        if held is None or held.row.state is State.NOT_DONE:
            self._keep(intent, State.BEGUN)
            return Finding(State.BEGUN)
        if held.row.state is State.DONE:
            return Finding.done(from_json(held.result))
        if held.row.state is State.BEGUN and held.claim == self._claim(intent):
            return Finding(State.BEGUN)
        self._keep(intent, State.UNKNOWN, since=held.row)
        return Finding.unknown()

    def end(self, intent: Intent, finding: Finding, *, of: State) -> asyncio.Future[Finding]:
        """Say what became of an effect, and return what stands."""
        future = self._future()
        if not future.done():
            future.set_result(self._end(intent, finding, of))
        return future

    def _end(self, intent: Intent, finding: Finding, of: State) -> Finding:
        held = self._tables.effects.get(intent.id)
        if held is None:
            return Finding.not_done()
        if (held.row.state, held.claim) == (of, self._claim(intent)):
            by = "probe" if of is State.UNKNOWN else None
            self._keep(intent, finding.state, finding.result, since=held.row, by=by)
        held = self._tables.effects[intent.id]
        return Finding(held.row.state, from_json(held.result))

    def _claim(self, intent: Intent) -> tuple[str, int, str, int]:
        return self._shard, self._epoch, intent.task_id, intent.attempt

    def _keep(
        self,
        intent: Intent,
        state: State,
        result: Any = None,
        *,
        since: EffectRow | None = None,
        by: str | None = None,
    ) -> None:
        now = self._clock.now()
        row = EffectRow(
            intent.id,
            intent.task_id,
            intent.task_type,
            intent.user,
            intent.tenant,
            intent.name,
            intent.key,
            intent.attempt,
            state,
            None,
            since.begun_at if since else now,
            None if state is State.BEGUN else now,
            by,
        )
        entry = EffectEntry(row, self._claim(intent), intent.root, to_json(result))
        self._tables.effects[intent.id] = entry

    def _future(self) -> asyncio.Future[Finding]:
        future: asyncio.Future[Finding] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(ServiceUnavailable("The ledger is closed."))
        elif self._tables.epochs.get(self._shard) != self._epoch:
            future.set_exception(StaleEpoch(f"Shard {self._shard!r} has a newer owner."))
        if future.done():
            future.exception()  # nobody may be waiting
        return future

    async def past(self, roots: Sequence[str]) -> dict[str, list[Past]]:
        """Return what earlier attempts left, by root."""
        found: dict[str, list[Past]] = {}
        for entry in self._tables.effects.values():
            if entry.root in roots:
                row = entry.row
                state = State.UNKNOWN if row.state is State.BEGUN else row.state
                found.setdefault(entry.root, []).append(Past(row.id, row.name, state))
        return found

    async def close(self) -> None:
        """Refuse whatever comes from now on."""
        self._closed = True


class InMemoryEffectBook:
    """All shards' effects, for people."""

    def __init__(self, tables: JournalTables, clock: Clock | None = None) -> None:
        self._tables, self._clock = tables, clock or SystemClock()

    async def page(
        self, user: str | None, state: State, limit: int, before: str | None
    ) -> list[EffectRow]:
        """Return effects, those of the newest tasks first."""
        below = str(UUID(before)) if before else None
        found = [
            row
            for row in self._all()
            if row.state is state and user in (None, row.user) and (below is None or row.id < below)
        ]
        return sorted(found, key=lambda row: row.id, reverse=True)[:limit]

    def _all(self) -> Iterator[EffectRow]:
        return (self._seen(entry) for entry in self._tables.effects.values())

    def _seen(self, entry: EffectEntry) -> EffectRow:
        """Return an entry; what was begun by an attempt that is over is unknown."""
        row, (shard, epoch, task_id, _) = entry.row, entry.claim
        over = self._tables.epochs.get(shard, 0) > epoch or any(
            event.kind.terminal for event in self._tables.stories.get(task_id, ())
        )
        state = State.UNKNOWN if row.state is State.BEGUN and over else row.state
        return replace(row, state=state, result=from_json(entry.result))

    async def of_work(self, root: str) -> list[EffectRow]:
        """Return the effects of a task and of those that try it again."""
        entries = [one for one in self._tables.effects.values() if one.root == root]
        rows = [self._seen(entry) for entry in entries]
        return sorted(rows, key=lambda row: (row.begun_at, row.id))

    async def find(self, effect_id: str) -> EffectRow | None:
        """Return an effect."""
        entry = self._tables.effects.get(effect_id)
        return self._seen(entry) if entry else None

    async def resolve(self, effect_id: str, finding: Finding, by: str) -> bool:
        """Decide about an unknown effect."""
        entry = self._tables.effects.get(effect_id)
        if entry is None or self._seen(entry).state is not State.UNKNOWN:
            return False
        row = replace(entry.row, state=finding.state, ended_at=self._clock.now(), settled_by=by)
        self._tables.effects[effect_id] = replace(entry, row=row, result=to_json(finding.result))
        return True
