"""Keeps orders, audit and quarantine in this process, beside the journal in memory."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

from cartrita.clock import Clock
from cartrita.journal import EventKind, Remnant
from cartrita.storage.memory_journal import JournalTables
from cartrita.storage.runtime import (
    AuditEntry,
    Keep,
    QuarantinedTask,
    Settled,
    read_quarantined,
)


class InMemoryOrders:
    """Orders in a dictionary."""

    def __init__(self, tables: JournalTables) -> None:
        self._tables = tables
        self._kept: dict[str, str] = {}

    async def all(self) -> dict[str, Any]:
        """Return every order in force, by its key."""
        return {key: json.loads(value) for key, value in self._kept.items()}

    async def put(self, key: str, value: Any, by: str) -> None:
        """Give an order, in place of the one with this key."""
        self._kept[key] = json.dumps(value)

    async def remove(self, key: str) -> None:
        """Take an order back, if there is one."""
        self._kept.pop(key, None)

    async def busy_shards(self) -> list[str]:
        """Return the shards that own accepted tasks without an end."""
        stories = self._tables.stories.values()
        return sorted(
            {story[0].shard for story in stories if not any(e.kind.terminal for e in story)}
        )


class InMemoryAudit:
    """The log of commands in a list."""

    def __init__(self) -> None:
        self._entries: list[AuditEntry] = []

    async def note(self, entry: AuditEntry) -> None:
        """Add an entry, whose id is ignored."""
        self._entries.append(replace(entry, id=len(self._entries) + 1))

    async def entries(self, limit: int, before: int | None) -> list[AuditEntry]:
        """Return entries, newest first."""
        found = (e for e in reversed(self._entries) if before is None or e.id < before)
        return [entry for entry, _ in zip(found, range(limit), strict=False)]


class InMemoryQuarantine:
    """Quarantined tasks, read from their stories."""

    def __init__(self, tables: JournalTables) -> None:
        self._tables = tables
        self._settled: dict[str, tuple[Settled, str | None]] = {}

    async def waiting(
        self, user: str | None, limit: int, before: str | None
    ) -> list[QuarantinedTask]:
        """Return tasks about which nobody decided yet, newest first."""
        below = str(UUID(before)) if before else None
        found = [
            task
            for task in self._all()
            if task.settled is None
            and user in (None, task.user)
            and (below is None or task.task_id < below)
        ]
        return sorted(found, key=lambda task: task.task_id, reverse=True)[:limit]

    def _all(self) -> Iterator[QuarantinedTask]:
        for task_id in self._tables.stories:
            task = self._find(task_id)
            if task:
                yield task

    def _find(self, task_id: str) -> QuarantinedTask | None:
        events = self._tables.stories.get(task_id, ())
        task = read_quarantined(sorted(events, key=lambda event: event.step))
        if task is None or task_id not in self._settled:
            return task
        how, retried_as = self._settled[task_id]
        return replace(task, settled=how, retried_as=retried_as)

    async def find(self, task_id: str) -> QuarantinedTask | None:
        """Return a quarantined task, settled or not."""
        return self._find(task_id)

    async def settle(
        self, task_id: str, how: Settled, by: str, retried_as: str | None = None
    ) -> bool:
        """Decide about a task, once and for all."""
        task = self._find(task_id)
        if task is None or task.settled:
            return False
        self._settled[task_id] = how, retried_as
        return True


class InMemoryRetention:
    """Forgets ended tasks in the shared tables, all that is due at once."""

    def __init__(self, tables: JournalTables, quarantine: InMemoryQuarantine, clock: Clock) -> None:
        self._tables, self._quarantine, self._clock = tables, quarantine, clock

    async def forget(self, keep: Keep) -> int:
        """Forget what is due; returns how many tasks that were."""
        tables, now = self._tables, self._clock.now()
        gone = [key for key, left in tables.remnants.items() if left.finished_at < now - keep.tasks]
        for task_id in gone:
            del tables.remnants[task_id]
        due = 0
        for task_id in list(tables.stories):
            left = await tables.remnant(task_id)
            if left and left.finished_at < now - keep.streams:
                due += await self._forget_events(left, now - keep.events)
        return len(gone) + due + tables.forget_effects(now - keep.events)

    async def _forget_events(self, left: Remnant, before: float) -> bool:
        task = await self._quarantine.find(left.task_id)
        if task is not None and task.settled is None:
            return False
        if left.finished_at < before:
            self._tables.remnants[left.task_id] = left
            del self._tables.stories[left.task_id]
            return True
        story = self._tables.stories[left.task_id]
        kept = [event for event in story if event.kind is not EventKind.STREAM]
        self._tables.stories[left.task_id] = kept
        return len(kept) < len(story)
