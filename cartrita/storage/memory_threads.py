"""Keeps checkpoints and conversations in this process, for tests and trying out."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

from cartrita.clock import Clock, SystemClock
from cartrita.storage.threads import (
    OPENING,
    Kept,
    Owner,
    Recollection,
    Said,
    Totals,
    Turn,
    Write,
)

Place = tuple[str, str, str]


class InMemoryCheckpoints:
    """Checkpoints in dictionaries."""

    def __init__(self) -> None:
        self._kept: dict[Place, Kept] = {}
        self._writes: dict[Place, dict[tuple[str, int], Write]] = {}

    async def put(self, kept: Kept) -> None:
        """Keep a checkpoint."""
        self._kept[kept.thread, kept.space, kept.id] = kept

    async def write(self, thread: str, space: str, id: str, writes: Sequence[Write]) -> None:  # noqa: A002
        """Keep what was done on top of a checkpoint."""
        held = self._writes.setdefault((thread, space, id), {})
        for item in writes:
            if item.place < 0 or (item.task, item.place) not in held:
                held[item.task, item.place] = item

    async def latest(
        self,
        thread: str,
        space: str,
        id: str | None = None,  # noqa: A002
    ) -> Kept | None:
        """Return a checkpoint, the last one by default."""
        if id is not None:
            return self._kept.get((thread, space, id))
        return next(iter(await self.list(thread, space, 1)), None)

    async def writes(self, thread: str, space: str, id: str) -> list[Write]:  # noqa: A002
        """Return what was done on top of one."""
        held = self._writes.get((thread, space, id), {}).values()
        return sorted(held, key=lambda item: (item.path, item.task, item.place))

    async def list(self, thread: str, space: str | None, limit: int) -> list[Kept]:
        """Return a thread's checkpoints, the last one first."""
        own = [
            kept
            for kept in self._kept.values()
            if kept.thread == thread and space in (None, kept.space)
        ]
        return sorted(own, key=lambda kept: kept.id, reverse=True)[:limit]

    async def forget(self, thread: str) -> None:
        """Delete a thread."""
        self._kept = {place: one for place, one in self._kept.items() if place[0] != thread}
        self._writes = {place: one for place, one in self._writes.items() if place[0] != thread}


class InMemoryConversations:
    """Conversations in dictionaries, and their history."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._turns: dict[Owner, dict[tuple[str, str], Turn]] = {}
        self._summaries: dict[Owner, str] = {}
        self._folded: dict[Owner, int] = {}
        self._said_at: dict[int, float] = {}
        self._numbers = itertools.count(1)

    async def recall(self, owner: Owner) -> Recollection:
        """Return what is known."""
        since = self._folded.get(owner, 0)
        turns = [turn for turn in self._turns.get(owner, {}).values() if turn.number > since]
        ordered = sorted(turns, key=lambda turn: turn.number)
        return Recollection(self._summaries.get(owner, ""), tuple(ordered))

    async def add(self, owner: Owner, turns: Sequence[Turn]) -> None:
        """Remember turns."""
        held = self._turns.setdefault(owner, {})
        for turn in turns:
            known = held.get((turn.task, turn.role))
            number = known.number if known else next(self._numbers)
            self._said_at.setdefault(number, self._clock.now())
            held[turn.task, turn.role] = replace(turn, number=number)

    async def fold(self, owner: Owner, last: int, summary: str, before: str) -> None:
        """Put a summary in the place of turns and of an earlier one."""
        if self._summaries.get(owner, before) != before:
            return
        self._summaries[owner] = summary
        numbers = [turn.number for turn in self._turns.get(owner, {}).values()]
        self._folded[owner] = max((number for number in numbers if number <= last), default=0)

    async def forget(self, owner: Owner) -> int:
        """Delete a conversation."""
        self._summaries.pop(owner, None)
        self._folded.pop(owner, None)
        return len(self._turns.pop(owner, {}))

    async def page(self, tenant: str, user: str, limit: int, offset: int) -> list[Said]:
        """Return the last messages, oldest first."""
        said = sorted(
            ((turn, owner) for owner in self._of(tenant, user) for turn in self._held(owner)),
            key=lambda one: -one[0].number,
        )
        return [self._said(*one) for one in reversed(said[offset : offset + limit])]

    async def totals(self, tenant: str, user: str) -> Totals:
        """Return how much there is."""
        turns = [turn for owner in self._of(tenant, user) for turn in self._held(owner)]
        asked = sum(turn.role == "user" for turn in turns)
        times = [self._said_at[turn.number] for turn in turns]
        first, last = min(times, default=None), max(times, default=None)
        return Totals(asked, len(turns) - asked, first, last)

    async def clear(self, tenant: str, user: str) -> int:
        """Delete all of a user's conversations."""
        owners = self._of(tenant, user)
        for owner in owners:
            await self.forget(owner)
        return len(owners)

    def _of(self, tenant: str, user: str) -> list[Owner]:
        return [owner for owner in self._turns if (owner.tenant, owner.user) == (tenant, user)]

    def _held(self, owner: Owner) -> list[Turn]:
        return sorted(self._turns[owner].values(), key=lambda turn: turn.number)

    def _said(self, turn: Turn, owner: Owner) -> Said:
        opening = next(one.content for one in self._held(owner))[:OPENING]
        at = self._said_at[turn.number]
        return Said(turn.number, turn.role, turn.content, at, owner.session, opening)
