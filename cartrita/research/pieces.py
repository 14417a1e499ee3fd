"""Cuts a text into pieces that a model of meaning reads as a whole."""

import re

LONGEST_PIECE = 900
"""Characters: some 200 tokens, of which the built-in model reads 256."""

_ENDS = re.compile(r"(?<=[.!?])\s+|\n+")


def pieces(text: str, longest: int = LONGEST_PIECE) -> list[str]:
    """Return the pieces of a text in order: whole sentences, as many as fit, none overlapping."""
    found: list[str] = []
    for sentence in filter(None, map(str.strip, _ENDS.split(text))):
        parts = [sentence[at : at + longest] for at in range(0, len(sentence), longest)]
        if found and len(found[-1]) + len(sentence) < longest:
            found[-1] = f"{found[-1]} {sentence}"
        else:
            found += parts
    return found
