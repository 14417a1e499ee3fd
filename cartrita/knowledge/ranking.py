"""Joins what was found by meaning with what was found by words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from cartrita.storage.knowledge import Piece

Kind = Literal["semantic", "fulltext", "hybrid"]

K = 60
"""Of reciprocal rank fusion (Cormack, Clarke, Büttcher 2009): the higher, the less the first
places weigh."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A piece and how it was found.

    Attributes:
        weight: Sums of 1 / (K + place) over the lists that have it, 1 being the most there is.
        kind: `hybrid` is what both ways found.
    """

    piece: Piece
    weight: float
    kind: Kind


def fuse(by_meaning: Sequence[Piece], by_words: Sequence[Piece]) -> list[Ranked]:
    """Return all pieces once, those first that are high up in both lists."""
    found: dict[tuple[UUID, int], tuple[Piece, float, set[Kind]]] = {}
    lists: tuple[tuple[Kind, Sequence[Piece]], ...] = (
        ("semantic", by_meaning),
        ("fulltext", by_words),
    )
    most = sum(1 / (K + 1) for _, pieces in lists if pieces) or 1.0
    for kind, pieces in lists:
        for place, piece in enumerate(pieces, 1):
            key = (piece.entry.id, piece.chunk.place)
            known, weight, kinds = found.get(key, (piece, 0.0, set()))
            found[key] = known, weight + 1 / (K + place) / most, kinds | {kind}
    ranked = [
        Ranked(piece, weight, "hybrid" if len(kinds) > 1 else next(iter(kinds)))
        for piece, weight, kinds in found.values()
    ]
    return sorted(ranked, key=lambda one: (-one.weight, -(one.piece.score or 0.0)))


def one_each(ranked: Sequence[Ranked]) -> list[Ranked]:
    """Return the best piece of each entry."""
    best: dict[UUID, Ranked] = {}
    for one in ranked:
        best.setdefault(one.piece.entry.id, one)
    return list(best.values())


def snippet(text: str, query: str, longest: int = 240) -> str:
    """Return the part of a text around the first word of a query that is in it."""
    lower = text.lower()
    places = [lower.find(word) for word in query.lower().split()]
    first = min((place for place in places if place >= 0), default=0)
    start = max(0, min(first - longest // 3, len(text) - longest))
    part = text[start : start + longest].strip()
    before, after = "…" * (start > 0), "…" * (start + longest < len(text))
    return f"{before}{part}{after}"
