"""What one transaction of the journal carries, and its arguments in SQL."""

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cartrita.charges import budgets_of, charged
from cartrita.clock import iso, minted_at
from cartrita.cost.budget import SEPARATOR, Defaults, Period
from cartrita.cost.price import nano
from cartrita.journal import Event, Settlement, TaskRecord

YOUNG = 3600.0
"""Seconds for which an id is young: far less than any event is kept."""


@dataclass(slots=True, eq=False)
class Entry:
    """One thing to write, and who waits for it.

    Attributes:
        since: When it came, in monotonic seconds.
        at: When it happened, in Unix seconds.
        data: Packed when it came, so that what has no form is refused at once.
        record: Of a task to admit.
        careful: Its admission is a decision: it has a key, a price, a ceiling, or an old id.
        event: Of an event that changes where its task stands.
    """

    future: asyncio.Future[Any]
    since: float
    task_id: str
    step: int
    kind: int
    at: float
    data: bytes
    record: TaskRecord | None = None
    careful: bool = False
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
    """Entries in the order of their positions.

    Attributes:
        position: Of the shard's last event before this batch.
        unsure: It was sent, and whether it was committed is unknown.
        contested: Something of it is in the journal already.
    """

    position: int
    entries: list[Entry]
    unsure: bool = False
    contested: bool = False

    def singles(self) -> Iterator["Batch"]:
        """Yield each entry as a batch of its own, at the position it has here."""
        for place, entry in enumerate(self.entries):
            yield Batch(self.position + place, [entry], self.unsure, self.contested)

    def arguments(self, shard: str, epoch: int, purse: "Purse") -> list[Any]:
        """Return the arguments of `journal_write`."""
        entries = self.entries
        careful = [
            (place, entry.record)
            for place, entry in enumerate(entries, 1)
            if entry.record and entry.careful
        ]
        # Keys in one order, so that two writers never wait for each other in a circle.
        careful.sort(key=lambda one: (one[1].principal.user, one[1].idempotency_key or ""))
        settled = [
            (place, entry.settlement) for place, entry in enumerate(entries, 1) if entry.settlement
        ]
        trees = [record for _, record in careful if record.tree == record.task_id]
        return [
            shard,
            epoch,
            self.position,
            array([entry.task_id for entry in entries]),
            array([str(entry.step) for entry in entries]),
            array([str(entry.kind) for entry in entries]),
            array([str(entry.at) for entry in entries]),
            [entry.data for entry in entries],
            self.contested,
            [place for place, _ in careful],
            [record.principal.user for _, record in careful],
            [record.idempotency_key for _, record in careful],
            [record.digest for _, record in careful],
            [purse.above(record) for _, record in careful],
            [record.reserve_nano for _, record in careful],
            [record.reserve_tokens for _, record in careful],
            [place for place, _ in settled],
            [used.nano_usd for _, used in settled],
            [used.tokens for _, used in settled],
            purse.packed,
            [f"task:{record.tree}" for record in trees],
            [None if record.max_usd is None else nano(record.max_usd) for record in trees],
            [record.max_tokens for record in trees],
            self._lines(),
        ]

    def _lines(self) -> str | None:
        """Return what the ends in it are charged for, as JSON."""
        bills = [
            (place, entry.at, entry.settlement.bill)
            for place, entry in enumerate(self.entries, 1)
            if entry.settlement and entry.settlement.bill
        ]
        rows = [
            {
                "place": place,
                "day": iso(at)[:10],
                "user_id": bill.user,
                "tenant": bill.tenant,
                "agent": bill.agent,
                "task_type": bill.task_type,
                **line._asdict(),
            }
            for place, at, bill in bills
            for line in bill.lines
        ]
        return json.dumps(rows) if rows else None


class Purse:
    """What the budgets hold that nobody set.

    Attributes:
        packed: The same as JSON, as `journal_write` takes it.
    """

    def __init__(self, defaults: Defaults) -> None:
        self.defaults = defaults
        kinds = {
            kind: {
                "nano": one.nano_usd,
                "tokens": one.tokens,
                "day": one.period is Period.DAY,
            }
            for kind, one in defaults.kinds.items()
        }
        self.packed = json.dumps(kinds)

    def above(self, record: TaskRecord) -> str:
        """Return the ids of the budgets above a task, in one text; none for what costs nothing."""
        return SEPARATOR.join(budgets_of(record, self.defaults)) if charged(record) else ""


def array(texts: Iterable[str]) -> str:
    """Return the text of an array of ids or numbers; the driver's own form costs more."""
    return f"{{{','.join(texts)}}}"


def needs_care(record: TaskRecord, now: float) -> bool:
    """Tell whether more than its id decides about a task.

    An id that was just minted cannot be that of a task whose events were forgotten.
    """
    closely = bool(record.idempotency_key) or charged(record)
    return closely or abs(now - minted_at(record.task_id)) > YOUNG
