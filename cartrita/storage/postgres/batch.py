"""What one transaction of the journal carries, and its arguments in SQL."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from cartrita.channel.frames import pack
from cartrita.journal import Event, Settlement, TaskRecord


@dataclass(slots=True, eq=False)
class Entry:
    """One thing to write, and who waits for it."""

    future: asyncio.Future[Any]
    since: float
    record: TaskRecord | None = None
    event: Event | None = None
    settlement: Settlement | None = None

    def resolve(self, value: Any = None, error: Exception | None = None) -> None:
        """Answer whoever waits, if anybody still does."""
        if self.future.done():
            return
        if error is None:
            self.future.set_result(value)
        else:
            self.future.set_exception(error)
            self.future.exception()  # nobody may be waiting any more


@dataclass(slots=True)
class Batch:
    """Entries in the order of their positions: admissions first.

    Attributes:
        position: Of the shard's last event before this batch.
        unsure: It was sent, and whether it was committed is unknown.
    """

    position: int
    admissions: list[Entry] = field(default_factory=list)
    events: list[Entry] = field(default_factory=list)
    unsure: bool = False

    def __len__(self) -> int:
        return len(self.admissions) + len(self.events)

    def add(self, entry: Entry) -> None:
        """Put an entry where it belongs."""
        (self.admissions if entry.record else self.events).append(entry)

    def singles(self) -> Iterator["Batch"]:
        """Yield each entry as a batch of its own, at the position it has here."""
        place = self.position
        for entry in (*self.admissions, *self.events):
            alone = Batch(place, unsure=self.unsure)
            alone.add(entry)
            yield alone
            place += 1

    def ordinal(self, row: asyncpg.Record) -> int:
        """Return which entry, counted from 1, a row of `journal_write` is about."""
        place = int(row["place"])
        return place if place > 0 else len(self.admissions) - place

    def arguments(self, shard: str, epoch: int) -> list[Any]:
        """Return the arguments of `journal_write`.

        Raises:
            InvalidMessage: An entry holds something that MessagePack has no form for.
        """
        records = [entry.record for entry in self.admissions if entry.record]
        events = [entry.event for entry in self.events if entry.event]
        careful = [
            (place, record)
            for place, record in enumerate(records, 1)
            if record.idempotency_key or record.reserve_nano or record.reserve_tokens
        ]
        settled = [(e.event.task_id, e.settlement) for e in self.events if e.event and e.settlement]
        return [
            shard,
            epoch,
            self.position,
            [record.task_id for record in records],
            [record.pack() for record in records],
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


def budgets_of(record: TaskRecord) -> list[str]:
    """Return the ids of the budgets a task is charged to."""
    return [f"user:{record.principal.user}", f"tenant:{record.principal.tenant}"]
