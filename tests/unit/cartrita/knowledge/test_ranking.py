"""Tests of cartrita/knowledge/ranking.py."""

from uuid import UUID

import pytest

from cartrita.knowledge.ranking import fuse, one_each, snippet
from cartrita.storage.knowledge import Chunk, Entry, Piece


def piece(number, place=0, score=0.5):
    told = (
        "t",
        "c",
        "text",
        "general",
        None,
        (),
        0.5,
        "user_created",
        None,
        None,
        "d",
        1,
        "m",
        0,
        0,
    )
    return Piece(Entry(UUID(int=number), *told), Chunk(place, 0, "text"), score)


def order(ranked):
    return [(one.piece.entry.id.int, one.kind) for one in ranked]


def test_what_both_ways_found_comes_before_what_one_found():
    ranked = fuse([piece(1), piece(2)], [piece(3, score=None), piece(2, score=None)])
    assert order(ranked) == [(2, "hybrid"), (1, "semantic"), (3, "fulltext")]
    assert ranked[0].piece.score == 0.5


def test_the_first_place_in_all_lists_weighs_one():
    assert fuse([piece(1)], [piece(1)])[0].weight == pytest.approx(1)
    assert fuse([piece(1)], [])[0].weight == pytest.approx(1)
    assert fuse([], []) == []


def test_pieces_of_one_entry_are_told_apart_until_one_of_each_is_wanted():
    ranked = fuse([piece(1), piece(1, place=1), piece(2)], [])
    assert len(ranked) == 3
    assert [(one.piece.entry.id.int, one.piece.chunk.place) for one in one_each(ranked)] == [
        (1, 0),
        (2, 0),
    ]


def test_a_snippet_is_around_the_first_word_that_is_there():
    text = f"{'x ' * 300}needle {'y ' * 300}"
    part = snippet(text, "absent NEEDLE", longest=60)
    assert "needle" in part
    assert part.startswith("…")
    assert part.endswith("…")
    assert snippet("short", "absent") == "short"
