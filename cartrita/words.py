"""The words of texts, so that most inflections of one meet."""

import re

_WORD = re.compile(r"\w{3,}")
_STEM = 6


def stems(text: str) -> set[str]:
    """Return the words of a text, each cut to its beginning; the shortest are left out."""
    return {word[:_STEM] for word in _WORD.findall(text.lower())}
