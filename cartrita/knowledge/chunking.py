"""Cuts a text into pieces that a model reads whole."""

import re

from cartrita.storage.knowledge import Chunk

SIZE = 900
"""Characters of a piece: the built-in model reads some 256 tokens and nothing behind them."""

OVERLAP = 120
"""Characters that a piece has in common with the one before, so that no thought is cut in two."""

_BREAKS = tuple(
    re.compile(mark) for mark in (r"\n\s*\n", r"\n", r"[.!?\u2026\u3002\uff01\uff1f]\s", r"\s")
)
"""Paragraphs, lines, sentences (of Chinese and Japanese, too), words."""


def cut(text: str, size: int = SIZE, overlap: int = OVERLAP) -> list[Chunk]:
    """Return the pieces of a text, in order; white space around them is left out.

    A piece ends at the last paragraph, line, sentence or word in the second half of what it
    could hold, in this order of preference.
    """
    pieces: list[Chunk] = []
    start = _inked(text, 0)
    while start < len(text):
        end = _end(text, start, size)
        pieces.append(Chunk(len(pieces), start, text[start:end].rstrip()))
        if _inked(text, end) >= len(text):
            break
        start = _inked(text, max(start + 1, _word_at(text, end - overlap, end)))
    return pieces


def _inked(text: str, start: int) -> int:
    """Return where the next character stands that is not white."""
    while start < len(text) and text[start].isspace():
        start += 1
    return start


def _end(text: str, start: int, size: int) -> int:
    if len(text) - start <= size:
        return len(text)
    for pattern in _BREAKS:
        found = list(pattern.finditer(text, start + size // 2, start + size))
        if found:
            return found[-1].end()
    return start + size


def _word_at(text: str, place: int, most: int) -> int:
    """Return where a word begins, at a place or behind it, or `most`."""
    while 0 < place < most and not text[place - 1].isspace():
        place += 1
    return place
