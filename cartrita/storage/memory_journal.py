"""A journal without a database: for tests, the simulator and `local_tree`.

It keeps the promises of the real one except durability: what it holds survives its writers,
not the process.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cartrita.charges import budgets_of, charged
from cartrita.clock import Clock, SystemClock
from cartrita.cost.budget import Balance, Ceiling, Defaults
from cartrita.cost.price import nano
from cartrita.effects import State
from cartrita.errors import ServiceUnavailable, StaleEpoch
from cartrita.journal import (
    Event,
    EventKind,
    Relative,
    Remnant,
    Settlement,
    TaskRecord,
    TaskState,
    Verdict,
    fold,
)
from cartrita.ledger import EffectRow
from cartrita.storage.memory_budgets import BudgetTables


@dataclass(frozen=True, slots=True)
class EffectEntry:
    """A row of the effect ledger.

    Attributes:
        claim: Shard, epoch, task and attempt that may end it.
        result: JSON.
    """

    row: EffectRow
    claim: tuple[str, int, str, int]
    root: str
    result: str


@dataclass(slots=True)
class JournalTables:
    """What the writers of all shards share; outlives each of them."""

    stories: dict[str, list[Event]] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    keys: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    effects: dict[str, EffectEntry] = field(default_factory=dict)
    remnants: dict[str, Remnant] = field(default_factory=dict)
    budgets: BudgetTables = field(default_factory=BudgetTables)

    async def story(self, task_id: str, after: int = -1) -> list[Event]:
        """Return the events of a task in order, but for those told wholly before a step."""
        events = sorted(self.stories.get(task_id, []), key=lambda event: event.step)
        first = max((event.step for event in events if event.step <= after), default=0)
        return [event for event in events if event.step >= first]

    async def family(self, task_id: str, most: int) -> list[Relative]:
        """Return the sub-tasks of a task and theirs in turn, oldest first."""
        known = [state for story in self.stories.values() if (state := fold(story))]
        found: list[Relative] = []
        level = {task_id}
        while level:
            below = [state for state in known if state.record.parent in level]
            found += [self._relative(state) for state in below]
            level = {state.record.task_id for state in below}
        return sorted(found[:most], key=lambda one: (one.accepted_at, one.task_id))

    def _relative(self, state: TaskState) -> Relative:
        record, told = state.record, state.response or {}
        last = max(self.stories[record.task_id], key=lambda event: event.step)
        return Relative(
            record.task_id,
            record.parent or "",
            record.task_type,
            state.status,
            record.accepted_at,
            last.at if last.kind.terminal else None,
            told.get("errorCode"),
            told.get("reason"),
            Settlement.of(told),
        )

    def forget_effects(self, before: float) -> int:
        """Drop known effects begun before then whose tasks' events are gone; returns how many."""
        kept = [TaskRecord.from_wire(story[0].data) for story in self.stories.values()]
        alive = {task.task_id for task in kept} | {task.root for task in kept}
        gone = 0
        for key, entry in list(self.effects.items()):
            row = entry.row
            if row.begun_at >= before or row.task_id in alive or entry.root in alive:
                continue
            if row.state in (State.DONE, State.NOT_DONE):
                del self.effects[key]
                gone += 1
            elif row.state is State.BEGUN:
                self.effects[key] = replace(entry, row=replace(row, state=State.UNKNOWN))
        return gone

    async def remembered(self, task_ids: Sequence[str]) -> set[str]:
        """Return those of these tasks that have events."""
        return {task_id for task_id in task_ids if self.stories.get(task_id)}

    async def ended(self, shard: str, after: float, most: int) -> list[str]:
        """Return the tasks of a shard that ended last, the latest first."""
        found = [
            (event.at, event.task_id)
            for story in self.stories.values()
            for event in story
            if event.kind.terminal and event.at > after and story[0].shard == shard
        ]
        return [task_id for _, task_id in sorted(found, reverse=True)[:most]]

    async def remnant(self, task_id: str) -> Remnant | None:
        """Return what is left of a task that has ended."""
        return self.remnants.get(task_id) or remnant_of(await self.story(task_id))


def remnant_of(story: Sequence[Event]) -> Remnant | None:
    """Return what will be left of a task, given its story; None while it has no end."""
    state = fold(story)
    if state is None or state.response is None:
        return None
    record, told = state.record, state.response
    return Remnant(
        record.task_id,
        record.task_type,
        record.principal.user,
        state.status,
        story[-1].at,
        told.get("errorCode"),
        told.get("reason"),
        Settlement.of(told),
    )


class InMemoryJournal:
    """One shard's writer over shared tables."""

    def __init__(
        self,
        tables: JournalTables,
        shard: str,
        clock: Clock | None = None,
        budgets: Defaults | None = None,
    ) -> None:
        self._tables, self._shard, self._defaults = tables, shard, budgets or Defaults()
        self._clock = clock or SystemClock()
        self._epoch, self._closed = 0, False

    @property
    def epoch(self) -> int:
        """The incarnation this writer acts for; 0 before `open`."""
        return self._epoch

    @property
    def restarts(self) -> int:
        """How often the shard was taken over."""
        return max(self._epoch - 1, 0)

    async def open(self) -> int:
        """Take a new epoch of the shard."""
        self._epoch = self._tables.epochs.get(self._shard, 0) + 1
        self._tables.epochs[self._shard] = self._epoch
        return self._epoch

    def admit(self, record: TaskRecord) -> asyncio.Future[Verdict]:
        """Admit a task."""
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        if self._refused(future):
            return future
        future.set_result(self._decide(record))
        return future

    def _decide(self, record: TaskRecord) -> Verdict:
        if charged(record):
            self._budgets(record)
        verdict = self._known(record)
        if verdict is None and charged(record):
            verdict = self._reserve(record)
        verdict = verdict or Verdict("accepted", record.task_id)
        if record.idempotency_key and verdict.kind in ("accepted", "known"):
            key = (record.principal.user, record.idempotency_key)
            self._tables.keys.setdefault(key, (record.task_id, record.digest))
        if verdict.kind == "accepted":
            self._add(Event(record.task_id, 0, EventKind.ACCEPTED, record.to_wire()))
        return verdict

    def _known(self, record: TaskRecord) -> Verdict | None:
        """Return what stands already under a task's key or its id."""
        task_id, digest = record.task_id, record.digest
        if record.idempotency_key:
            key = (record.principal.user, record.idempotency_key)
            task_id, digest = self._tables.keys.get(key, (task_id, digest))
        if digest != record.digest:
            return Verdict("mismatch", task_id)
        if task_id != record.task_id:
            return Verdict("known", task_id)
        told = task_id in self._tables.stories or task_id in self._tables.remnants
        return Verdict("known", task_id) if told else None

    def _reserve(self, record: TaskRecord) -> Verdict:
        """Take a task's worst case from every budget above it, or say which has no room."""
        tables, task_id = self._tables.budgets, record.task_id
        worst = (record.reserve_nano, record.reserve_tokens)
        if record.tree == task_id:
            most = None if record.max_usd is None else nano(record.max_usd)
            tables.begin(f"task:{task_id}", Ceiling(most, record.max_tokens))
        rows = self._budgets(record)
        for row in rows:
            if not row.fits(*worst):
                tables.rows.pop(f"task:{task_id}", None)
                return Verdict("budget", task_id, row.id, row.resets_at or 0.0)
        return Verdict("accepted", task_id, pressure=tables.reserve(task_id, rows, *worst))

    def _budgets(self, record: TaskRecord) -> list[Balance]:
        """Return the budgets above a task, as they are now."""
        above = budgets_of(record, self._defaults)
        return self._tables.budgets.open(above, self._defaults, self._clock.now())

    def append(self, event: Event, settlement: Settlement | None = None) -> asyncio.Future[bool]:
        """Write an event."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self._refused(future):
            return future
        taken = {earlier.step for earlier in self._tables.stories.get(event.task_id, [])}
        if event.step not in taken:
            self._add(event)
            if settlement:
                self._tables.budgets.settle(event.task_id, settlement.nano_usd, settlement.tokens)
                if settlement.bill:
                    self._tables.budgets.note(settlement.bill, event.at or self._clock.now())
        future.set_result(event.step not in taken)
        return future

    def _add(self, event: Event) -> None:
        at = event.at or self._clock.now()
        stamped = replace(event, at=at, shard=self._shard, epoch=self._epoch)
        self._tables.stories.setdefault(event.task_id, []).append(stamped)

    def _refused(self, future: asyncio.Future[Any]) -> bool:
        if self._closed:
            future.set_exception(ServiceUnavailable("The journal is closed."))
        elif self._tables.epochs.get(self._shard) != self._epoch:
            future.set_exception(StaleEpoch(f"Shard {self._shard!r} has a newer owner."))
        else:
            return False
        future.exception()  # nobody may be waiting
        return True

    async def unfinished(self) -> AsyncIterator[tuple[TaskRecord, list[Event], float]]:
        """Yield each accepted task of the shard that has no end, oldest first."""
        for task_id in sorted(self._tables.stories):
            story = await self._tables.story(task_id)
            state = fold(story)
            if state and state.shard == self._shard and not state.status.terminal:
                pressure = self._tables.budgets.pressure(task_id, self._clock.now())
                yield state.record, story, pressure

    async def close(self) -> None:
        """Refuse whatever comes from now on."""
        self._closed = True
