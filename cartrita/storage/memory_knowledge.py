"""Keeps knowledge in this process, for tests and trying out."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import numpy as np

from cartrita.errors import ResourceLimitExceeded
from cartrita.storage.knowledge import (
    SHOWN,
    Chunk,
    Entry,
    Holder,
    Order,
    Piece,
    Scope,
    Sums,
    Vector,
)

Pieces = list[tuple[Chunk, Vector]]

_TERM = re.compile(r'(-?)(?:"([^"]*)"|(\S+))')
_WORD = re.compile(r"\w+")


class InMemoryKnowledge:
    """Entries in dictionaries, searched one by one."""

    def __init__(self) -> None:
        self._kept: dict[Holder, dict[UUID, tuple[Entry, Pieces]]] = {}

    async def put(
        self, holder: Holder, entry: Entry, chunks: Sequence[Chunk], vectors: Vector, most: int
    ) -> None:
        """Keep an entry with its pieces."""
        own = self._kept.setdefault(holder, {})
        others = sum(len(pieces) for id_, (_, pieces) in own.items() if id_ != entry.id)
        if others + len(chunks) > most:
            raise ResourceLimitExceeded(f"{most} pieces of knowledge may be kept for each user.")
        if entry.id in own:
            entry = replace(entry, created_at=own[entry.id][0].created_at)
        own[entry.id] = entry, list(zip(chunks, vectors, strict=True))

    async def amend(self, holder: Holder, entry: Entry) -> bool:
        """Replace what is told of an entry."""
        own = self._kept.get(holder, {})
        if entry.id not in own:
            return False
        known, pieces = own[entry.id]
        kept = {name: getattr(known, name) for name in ("content", "digest", "chunks", "model")}
        own[entry.id] = replace(entry, created_at=known.created_at, **kept), pieces
        return True

    async def find(self, holder: Holder, entry_id: UUID) -> Entry | None:
        """Return an entry."""
        return next((one for one in self._own(holder) if one.id == entry_id), None)

    async def same(self, holder: Holder, digest: str) -> UUID | None:
        """Return the oldest entry with this content."""
        same = [entry for entry in self._own(holder) if entry.digest == digest]
        return min(same, key=lambda entry: entry.created_at).id if same else None

    async def page(
        self, holder: Holder, scope: Scope, order: tuple[Order, bool], limit: int, offset: int
    ) -> tuple[list[Entry], int]:
        """Return entries with the beginning of their content."""
        by = "importance" if order[0] == "importance_score" else order[0]
        found = [entry for entry in self._own(holder) if _within(entry, scope)]
        found.sort(key=lambda entry: (getattr(entry, by), entry.id), reverse=order[1])
        return [_brief(entry) for entry in found[offset : offset + limit]], len(found)

    async def remove(self, holder: Holder, entry_id: UUID) -> bool:
        """Delete an entry with its pieces."""
        return self._kept.get(holder, {}).pop(entry_id, None) is not None

    async def clear(self, holder: Holder) -> int:
        """Delete all that a holder has."""
        return len(self._kept.pop(holder, {}))

    async def by_meaning(
        self, holder: Holder, asked: Vector, model: str, scope: Scope, limit: int, least: float
    ) -> list[Piece]:
        """Return the pieces most like `asked`."""
        scored = [
            (float(vector @ asked), Piece(_brief(entry), chunk, float(vector @ asked)))
            for entry, chunk, vector in self._pieces(holder, scope)
            if (entry.model, vector.size) == (model, asked.size)
        ]
        scored.sort(key=lambda pair: -pair[0])
        return [piece for score, piece in scored if score >= least][:limit]

    async def by_words(self, holder: Holder, query: str, scope: Scope, limit: int) -> list[Piece]:
        """Return the pieces that have all words of a query."""
        terms = [(sign, _WORD.findall((a or b).lower())) for sign, a, b in _TERM.findall(query)]
        wanted = [words for sign, words in terms if words and not sign]
        without = [words for sign, words in terms if words and sign]
        found = []
        for entry, chunk, _ in self._pieces(holder, scope):
            said = _WORD.findall(f"{entry.title} {chunk.text}".lower())
            counts = [_count(words, said) for words in wanted]
            if counts and all(counts) and not any(_count(words, said) for words in without):
                found.append((sum(counts), Piece(_brief(entry), chunk, None)))
        found.sort(key=lambda pair: -pair[0])
        return [piece for _, piece in found[:limit]]

    async def foreign(self, holder: Holder, model: str) -> str | None:
        """Return another model whose vectors are here."""
        return next((one.model for one in self._own(holder) if one.model != model), None)

    async def categories(self, holder: Holder) -> list[tuple[str, int]]:
        """Return the categories by name."""
        return sorted(Counter(entry.category for entry in self._own(holder)).items())

    async def sums(self, holder: Holder) -> Sums:
        """Return how much there is."""
        own = self._own(holder)
        return Sums(
            entries=len(own),
            files=sum(entry.file is not None for entry in own),
            chunks=sum(entry.chunks for entry in own),
            size=sum(len(entry.content) for entry in own),
            last_at=max((entry.updated_at for entry in own), default=None),
        )

    async def middles(self, holder: Holder, model: str, limit: int) -> list[tuple[Entry, Vector]]:
        """Return the entries that changed last."""
        kept = [one for one in self._kept.get(holder, {}).values() if one[0].model == model]
        kept.sort(key=lambda one: (one[0].updated_at, one[0].id), reverse=True)
        return [
            (_brief(entry), np.stack([vector for _, vector in pieces]).mean(0))
            for entry, pieces in kept[:limit]
        ]

    def _own(self, holder: Holder) -> list[Entry]:
        return [entry for entry, _ in self._kept.get(holder, {}).values()]

    def _pieces(self, holder: Holder, scope: Scope) -> list[tuple[Entry, Chunk, Vector]]:
        return [
            (entry, chunk, vector)
            for entry, pieces in self._kept.get(holder, {}).values()
            if _within(entry, scope)
            for chunk, vector in pieces
        ]


def _brief(entry: Entry) -> Entry:
    return replace(entry, content=entry.content[:SHOWN])


def _within(entry: Entry, scope: Scope) -> bool:
    words = (scope.words or "").lower()
    return (
        scope.category in (None, entry.category)
        and scope.content_type in (None, entry.content_type)
        and set(scope.tags) <= set(entry.tags)
        and (scope.ids is None or entry.id in scope.ids)
        and (entry.file is not None or not scope.files)
        and (words in entry.title.lower() or words in entry.content.lower())
    )


def _count(words: list[str], said: list[str]) -> int:
    size = len(words)
    return sum(said[place : place + size] == words for place in range(len(said) - size + 1))
