"""Keeps answers in this process: the newest, within a bound."""

from collections import OrderedDict
from dataclasses import dataclass

from cartrita.clock import Clock
from cartrita.storage.answers import Alike, Entry, Likeness, Owner

ENTRIES = 1000
BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class _Kept:
    owner: Owner
    body: bytes
    until: float
    asked: Likeness | None = None


class _Keeping:
    """What both have in common: bounds, time, and whose it is."""

    def __init__(self, clock: Clock, entries: int = ENTRIES, size: int = BYTES) -> None:
        self._clock, self._entries, self._most = clock, entries, size
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._size = 0

    async def forget(self, *, tenant: str | None = None, user: str | None = None) -> int:
        """Delete all answers of a tenant, or of a user in every tenant; returns how many."""
        gone = [
            place
            for place, kept in self._kept.items()
            if tenant == kept.owner.tenant or user == kept.owner.user
        ]
        for place in gone:
            self._drop(place)
        return len(gone)

    async def close(self) -> None:
        """Let go of everything."""
        self._kept.clear()
        self._size = 0

    def _add(self, entry: Entry, asked: Likeness | None) -> None:
        place = (entry.owner.tenant, entry.key)
        self._drop(place)
        until = self._clock.monotonic() + entry.seconds
        self._kept[place] = _Kept(entry.owner, entry.body, until, asked)
        self._size += len(entry.body)
        while len(self._kept) > self._entries or self._size > self._most:
            self._drop(next(iter(self._kept)))

    def _drop(self, place: tuple[str, str]) -> None:
        kept = self._kept.pop(place, None)
        if kept:
            self._size -= len(kept.body)

    def _fresh(self, place: tuple[str, str]) -> _Kept | None:
        kept = self._kept.get(place)
        if kept and kept.until <= self._clock.monotonic():
            self._drop(place)
            return None
        return kept


class InMemoryShelf(_Keeping):
    """Answers by their key; when it is full, the one goes that was not asked for the longest."""

    async def get(self, tenant: str, key: str) -> bytes | None:
        """Return a body; None when there is none, or no longer."""
        kept = self._fresh((tenant, key))
        if kept is None:
            return None
        self._kept.move_to_end((tenant, key))
        return kept.body

    async def put(self, entry: Entry) -> None:
        """Keep an answer in the place of an older one."""
        self._add(entry, None)


class InMemoryMeanings(_Keeping):
    """Answers by meaning, compared one by one; for tests and a single process."""

    async def knows(self, tenant: str, scope: str) -> bool:
        """Tell whether there is anything to compare a question of this scope with."""
        kept = (self._fresh(place) for place in list(self._kept) if place[0] == tenant)
        return any(one and one.asked and one.asked.scope == scope for one in kept)

    async def nearest(self, tenant: str, asked: Likeness, least: float) -> Alike | None:
        """Return the answer to the most alike question; None where none is at least that."""
        found: list[Alike] = []
        for place in list(self._kept):
            kept = self._fresh(place) if place[0] == tenant else None
            if kept and kept.asked == asked:  # its vector is not compared by that
                score = float(kept.asked.vector @ asked.vector)
                found.append(Alike(kept.body, score))
        best = max(found, key=lambda one: one.score, default=None)
        return best if best and best.score >= least else None

    async def put(self, entry: Entry, asked: Likeness) -> None:
        """Keep an answer, in the place of an older one with its key."""
        self._add(entry, asked)
