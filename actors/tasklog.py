"""What one live task says, in order: shown to readers, made durable behind them.

The supervisor holds a log for a task only once its agent says something or somebody reads;
a quick task that nobody watches has none and costs nothing.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from cartrita.channel.frames import pack
from cartrita.journal import ATTEMPT_SHIFT, END_STEP, Event, EventKind
from cartrita.story import STARTED, TYPE_OF, Entry, beginning

KEPT = 256
"""Entries kept in memory for readers who are nearly up to date."""

SPILL_AFTER = 0.25
"""Seconds for which something said may be in memory only."""

SPILL_BYTES = 32 * 1024
MOST_BYTES = 512 * 1024
"""Bytes that may wait for the journal before the agent is held back."""

ENTRY_BYTES = 512
"""What a short entry takes in memory beside its text, a few times over on its way."""


class TaskLog:
    """The log of one live task.

    Args:
        task_id: Whose.
        base: Everything up to this step is told by the journal.
        append: Writes to the journal.
        now: Returns Unix seconds.
    """

    def __init__(
        self,
        task_id: str,
        base: int,
        append: Callable[[Event], asyncio.Future[bool]],
        now: Callable[[], float],
    ) -> None:
        self._task_id, self._base, self._append, self._now = task_id, base, append, now
        self._entries: deque[Entry] = deque()
        self._unspilled: list[Entry] = []
        self._fresh = self._writing = 0  # bytes not yet given to the journal; bytes on their way
        self._flying = 0  # entries on their way
        self._next = self._said = 0
        self._shown = base
        self._owed: list[Callable[[int], None]] = []
        self._changed: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.last = base
        self.ended = False

    def begin(self, attempt: int, at: float, durable: asyncio.Future[bool]) -> None:
        """Begin an attempt that started `at`; what it says is shown once that is `durable`."""
        start = self._said = (attempt << ATTEMPT_SHIFT) | STARTED
        self._next = start + 1
        for entry in beginning(attempt, at):
            self._put(entry)
        _once(durable, lambda: self._show_from(start))

    def _show_from(self, start: int) -> None:
        """Let readers see an attempt from its start to what it said last."""
        present = self._said >> ATTEMPT_SHIFT == start >> ATTEMPT_SHIFT
        self._show(self._said if present else start)

    def _put(self, entry: Entry) -> None:
        self._entries.append(entry)
        self.last = entry.step

    def _show(self, step: int) -> None:
        """Let readers see up to `step`."""
        self._shown = max(self._shown, step)
        self._wake()
        self._forget()

    def say(self, kind: str, data: Any, grant: Callable[[int], None] | None = None) -> None:
        """Add what the agent says.

        Args:
            kind: `progress`, `token` or `tool`.
            data: Plain values.
            grant: Called with 1 when the agent may say more.
        """
        if self.ended:
            return
        entry = Entry(self._next, kind, self._now(), data)
        self._said = self._next
        self._next += 1
        self._put(entry)
        self._unspilled.append(entry)
        self._fresh += len(pack(data)) + 32
        if self._started:
            self._shown = entry.step
            self._wake()
        self._spill_soon()
        if grant and self._room:
            grant(1)
        elif grant:
            self._owed.append(grant)

    @property
    def _room(self) -> bool:
        """Whether more may wait for the journal."""
        entries = len(self._unspilled) + self._flying
        return self._fresh + self._writing + ENTRY_BYTES * entries < MOST_BYTES

    def _spill_soon(self) -> None:
        """Spill when there is enough or it has waited enough; one after the other.

        While the journal's database is away, what is said becomes one large event, not many.
        """
        if self._fresh >= SPILL_BYTES and not self._writing:
            self.spill()
        elif self._timer is None and self._unspilled:
            self._timer = asyncio.get_running_loop().call_later(SPILL_AFTER, self._spill_in_turn)

    def _spill_in_turn(self) -> None:
        self._timer = None
        if not self._writing:
            self.spill()

    @property
    def _started(self) -> bool:
        """Whether the present attempt's start is durable."""
        return self._shown >= (self._next >> ATTEMPT_SHIFT << ATTEMPT_SHIFT) | STARTED

    def retry_step(self) -> int:
        """Return the step at which the present attempt's loss is told."""
        self._next += 1
        return self._next - 1

    def lost(self, event: Event, durable: asyncio.Future[bool]) -> None:
        """Tell of the loss of an attempt, once that is `durable`."""
        self._put(Entry(event.step, "retry", event.at, event.data))
        _once(durable, lambda: self._show(event.step))

    def spill(self) -> None:
        """Give to the journal what it has not yet."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if not self._unspilled:
            return
        rows = [list(entry) for entry in self._unspilled]
        size, self._fresh = self._fresh, 0
        self._unspilled.clear()
        count = len(rows)
        self._writing += size
        self._flying += count
        event = Event(self._task_id, rows[0][0], EventKind.STREAM, rows)
        self._append(event).add_done_callback(lambda done: self._spilled(size, count, done))

    def _spilled(self, size: int, count: int, done: asyncio.Future[bool]) -> None:
        self._writing -= size
        self._flying -= count
        done.exception()  # a fenced writer's words are nobody's any more
        if not self.ended:
            self._spill_soon()
        if self._room:
            owed, self._owed = self._owed, []
            for grant in owed:
                grant(1)
        self._forget()

    def _forget(self) -> None:
        """Drop the oldest entries that the journal holds; readers find them there."""
        if self._writing:
            return
        first = self._unspilled[0].step if self._unspilled else END_STEP
        while len(self._entries) > KEPT and self._entries[0].step < min(first, self._shown):
            self._base = self._entries.popleft().step

    def close(self, end: Event | None = None) -> None:
        """Wake the readers because the log goes away: with the durable end, or without.

        Args:
            end: None where somebody else wrote another, or nobody yet.
        """
        self.ended = True
        if self._timer:
            self._timer.cancel()
        if end:
            self._put(Entry(END_STEP, TYPE_OF[end.kind], end.at, end.data))
            self._show(END_STEP)
        self._wake()

    def behind(self, step: int) -> bool:
        """Tell whether a reader at `step` must be served from the journal first."""
        return step < self._base

    @property
    def base(self) -> int:
        """What the journal tells and this log does not: everything up to here."""
        return self._base

    def after(self, step: int, most: int = 64) -> Sequence[Entry]:
        """Return up to `most` entries behind `step` that may be shown."""
        found: list[Entry] = []
        for entry in self._entries:
            if entry.step > self._shown or len(found) == most:
                break
            if entry.step > step:
                found.append(entry)
        return found

    async def more(self, step: int) -> None:
        """Wait until there is something behind `step`, or nothing will come."""
        while self._shown <= step and not self.ended:
            if self._changed is None or self._changed.done():
                self._changed = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._changed)

    def _wake(self) -> None:
        if self._changed and not self._changed.done():
            self._changed.set_result(None)


def _once(durable: asyncio.Future[bool], show: Callable[[], None]) -> None:
    """Show something once it is written, and not at all when a fenced writer could not."""

    def written(done: asyncio.Future[bool]) -> None:
        if done.exception() is None and done.result():
            show()

    durable.add_done_callback(written)
