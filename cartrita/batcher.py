"""Joins what concurrent callers ask for into batches."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cartrita.errors import CartritaError, InternalFailure, QueueFull

Item = TypeVar("Item")
Answer = TypeVar("Answer")

LINGER = 0.002
"""Seconds that a first item waits for others, while nothing runs."""

MOST = 32
QUEUE = 1024


@dataclass(slots=True, eq=False)
class _Share(Generic[Item, Answer]):
    """What one caller waits for.

    Attributes:
        taken: How many of its items are in a batch, or were.
        missing: How many have no answer yet.
        context: What it works on: a batch tells of itself as its first caller's.
    """

    items: Sequence[Item]
    done: asyncio.Future[list[Answer]]
    taken: int = 0
    missing: int = 0
    answers: dict[int, Answer] = field(default_factory=dict)
    context: Context = field(default_factory=copy_context)

    def fill(self, place: int, answer: Answer) -> None:
        """Note an item's answer; with the last one the caller goes on."""
        self.answers[place] = answer
        self.missing -= 1
        if not self.missing and not self.done.done():
            self.done.set_result([self.answers[number] for number in range(len(self.items))])

    def fail(self, error: BaseException) -> None:
        """Let the caller see an error."""
        if not self.done.done():
            self.done.set_exception(error)


class Batcher(Generic[Item, Answer]):
    """Does work for many callers in batches. Belongs to one event loop.

    The first item waits `linger` seconds for others; what comes while a batch runs is the
    next one, at once. Callers take turns, item by item, so that one with many does not hold
    up one with few. A caller that is cancelled takes its items along; a batch that nobody
    waits for any more is cancelled. When a batch of several callers fails in a way that is no
    use to try again, each caller's part is done by itself, so that nobody fails for another's
    item.

    Args:
        work: Answers items, one answer each, in their order.
        most: The most that one batch may weigh; an item that weighs more goes alone.
        weigh: What an item weighs; by default 1.
        linger: Seconds, as above; 0 joins only what is asked in one turn of the loop.
        lanes: Batches that may run at once.
        queue: The most items that may wait.
        name: What the work is, for messages.
    """

    def __init__(  # noqa: PLR0913 - each is a bound of its own
        self,
        work: Callable[[list[Item]], Awaitable[Sequence[Answer]]],
        *,
        most: int = MOST,
        weigh: Callable[[Item], int] | None = None,
        linger: float = LINGER,
        lanes: int = 1,
        queue: int = QUEUE,
        name: str = "batcher",
    ) -> None:
        self._work, self._most, self._weigh = work, most, weigh
        self._linger, self._lanes, self._queue, self._name = linger, lanes, queue, name
        self._line: deque[_Share[Item, Answer]] = deque()
        self._waiting = 0
        self._running: dict[asyncio.Task[None], list[_Share[Item, Answer]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def ask(self, items: Sequence[Item]) -> list[Answer]:
        """Return the answers to `items`, in their order.

        Raises:
            QueueFull: Too many items wait already.
        """
        if not items:
            return []
        if self._waiting and self._waiting + len(items) > self._queue:
            raise QueueFull(
                f"{self._name!r} has {self._waiting} items waiting; try again in a second.",
                retry_after=1.0,
            )
        future: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        share = _Share(list(items), future, missing=len(items))
        self._line.append(share)
        self._waiting += len(items)
        self._arrived()
        try:
            return await share.done
        finally:
            self._left(share)

    def close(self) -> None:
        """Do nothing more; whoever waits is cancelled."""
        if self._timer:
            self._timer.cancel()
        for share in self._line:
            share.done.cancel()
        for task in self._running:
            task.cancel()

    def _arrived(self) -> None:
        """Begin at once when a batch is full, or else soon."""
        if len(self._running) >= self._lanes:
            return
        if self._weigh is None and self._waiting >= self._most:
            self._begin()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._linger, self._begin)

    def _left(self, share: _Share[Item, Answer]) -> None:
        """Forget a caller that has its answers, an error, or no more wish for any."""
        if share in self._line:
            self._line.remove(share)
            self._waiting -= len(share.items) - share.taken
        if share.done.done() and not share.done.cancelled():
            share.done.exception()  # seen, even where its caller was cancelled meanwhile
        for task, shares in self._running.items():
            if all(other.done.done() for other in shares):
                task.cancel()

    def _begin(self) -> None:
        """Run batches until nothing waits or all lanes are taken."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._line and len(self._running) < self._lanes:
            batch = self._take()
            if not batch:
                return
            first = batch[0][0].context.copy()
            task = asyncio.create_task(self._run(batch), context=first)
            self._running[task] = [share for share, _ in batch]
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        shares = self._running.pop(task)
        if task.cancelled():  # nobody waited, or all is over
            for share in shares:
                share.done.cancel()
        self._begin()

    def _take(self) -> list[tuple[_Share[Item, Answer], int]]:
        """Return the next batch: items of all callers in turn, up to what one may weigh."""
        batch: list[tuple[_Share[Item, Answer], int]] = []
        weight = 0
        while self._line:
            share = self._line[0]
            if share.done.done():  # by a failure of its other items
                self._waiting -= len(share.items) - share.taken
                self._line.popleft()
                continue
            weight += self._weigh(share.items[share.taken]) if self._weigh else 1
            if batch and weight > self._most:
                break
            self._line.popleft()
            batch.append((share, share.taken))
            share.taken += 1
            self._waiting -= 1
            if share.taken < len(share.items):
                self._line.append(share)
        return batch

    async def _run(self, batch: list[tuple[_Share[Item, Answer], int]]) -> None:
        try:
            await self._fill(batch)
        except Exception as error:  # noqa: BLE001 - it is the callers' to handle
            callers = list(dict.fromkeys(share for share, _ in batch))
            again = isinstance(error, CartritaError) and error.retryable
            if again or len(callers) == 1:
                for share in callers:
                    share.fail(error)
                return
            for share in callers:
                await self._alone([part for part in batch if part[0] is share])

    async def _alone(self, part: list[tuple[_Share[Item, Answer], int]]) -> None:
        """Do one caller's part of a batch by itself."""
        share = part[0][0]
        if share.done.done():
            return
        try:
            await self._fill(part)
        except Exception as error:  # noqa: BLE001 - it is the caller's to handle
            share.fail(error)

    async def _fill(self, batch: list[tuple[_Share[Item, Answer], int]]) -> None:
        answers = await self._work([share.items[place] for share, place in batch])
        if len(answers) != len(batch):
            raise InternalFailure(
                f"{self._name!r} answered {len(answers)} of {len(batch)} items of a batch."
            )
        for (share, place), answer in zip(batch, answers, strict=True):
            share.fill(place, answer)
