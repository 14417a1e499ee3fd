"""What the blocking client does with many tasks."""

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Unpack

from cartrita.client import bulk
from cartrita.client.bulk import (
    AT_ONCE,
    LONGEST_PAGE,
    Asked,
    BatchResult,
    Entry,
    Filters,
    ListedTask,
    Offers,
    TaskPage,
)
from cartrita.client.exchange import Exchange
from cartrita.client.players import Part, Player
from cartrita.errors import NotFound


class Bulk(Part):
    """Part of `Client`."""

    def batch(self, tasks: Iterable[Asked], *, at_once: int = AT_ONCE) -> Iterator[BatchResult]:
        """Run many tasks; yield what became of each, in their order.

        There may be any number: they are read as there is room for more. What was accepted
        goes on when the caller leaves early.

        Args:
            tasks: See `Asked`; a `task_id` makes a repeat the same task.
            at_once: Tasks under way at a time.

        Raises:
            CartritaError: Nothing more can be accepted or looked at; the class says why.
        """
        return _Batch(self._play, self._talk.exchange, at_once).results(iter(tasks))

    def tasks(self, limit: int | None = None, **filters: Unpack[Filters]) -> Iterator[ListedTask]:
        """Yield tasks, the last accepted first: one's own, everybody's for administrators.

        Args:
            limit: How many at most; all by default.
            filters: See `Filters`.

        Raises:
            AuthorizationFailed: `user` is somebody else.
            InvalidParameters: A filter is wrong; the message names it.
        """
        cursor: str | None = None
        left = math.inf if limit is None else limit
        while left > 0:
            page = self.task_page(cursor, int(min(left, LONGEST_PAGE)), **filters)
            yield from page.tasks
            left, cursor = left - len(page.tasks), page.next
            if cursor is None:
                return

    def task_page(
        self, cursor: str | None = None, limit: int = 50, **filters: Unpack[Filters]
    ) -> TaskPage:
        """Return a page of tasks, behind the page whose `next` is `cursor`; raises as `tasks`."""
        return self._play(bulk.page(self._talk.exchange, filters, limit, cursor))


class _Batch:
    """One batch under way: the first task that has not ended is waited for."""

    def __init__(self, play: Player, exchange: Exchange, at_once: int) -> None:
        self._play, self._exchange, self._at_once = play, exchange, at_once
        self._offers = Offers(self._exchange.patience(math.inf))
        self._line = deque[Entry | BatchResult]()
        self._settled: dict[int, BatchResult] = {}
        self._accepted: set[int] = set()
        self._again, self._asked = 0.0, 0

    def results(self, source: Iterator[Asked]) -> Iterator[BatchResult]:
        """Yield what became of each."""
        while True:
            self._fill(source)
            if not self._line:
                return
            if len(self._offers) and time.monotonic() >= self._again:
                self._hand_in()
            result = self._first()
            if result is not None:
                self._line.popleft()
                yield result

    def _fill(self, source: Iterator[Asked]) -> None:
        for _ in range(self._at_once - len(self._line)):
            try:
                asked = next(source)
            except StopIteration:
                return
            entry = bulk.entry_of(self._asked, asked)
            self._asked += 1
            self._line.append(entry)
            if isinstance(entry, Entry):
                self._offers.add(entry)

    def _hand_in(self) -> None:
        chunk = self._offers.take()
        flow = bulk.offer(self._exchange, [entry.task for entry in chunk])
        accepted, refused, pause = self._offers.hear(chunk, self._play(flow))
        self._accepted |= {entry.place for entry in accepted}
        self._settled |= {result.place: result for result in refused}
        self._again = time.monotonic() + pause

    def _first(self) -> BatchResult | None:
        """Return what became of the first one, after waiting for that a while."""
        first = self._line[0]
        if isinstance(first, BatchResult):
            return first
        if first.place in self._settled:
            return self._settled.pop(first.place)
        pause = max(self._again - time.monotonic(), 0.0)
        if first.place not in self._accepted:
            time.sleep(pause)
            return None
        wait = min(bulk.LOOK, pause) if len(self._offers) else bulk.LOOK
        return self._looked(first, wait)

    def _looked(self, entry: Entry, wait: float) -> BatchResult | None:
        try:
            outcome = self._play(bulk.look(self._exchange, entry.task.task_id, wait))
        except NotFound:  # the server lost it, or did not keep what it said
            self._accepted.discard(entry.place)
            self._offers.add(entry)
            return None
        if not outcome.status.terminal:
            return None
        self._accepted.discard(entry.place)
        return entry.ended(outcome)
