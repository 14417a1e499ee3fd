"""Picks which sentences of a long text are worth embedding."""

import math
from collections import Counter
from collections.abc import Sequence

from cartrita.words import stems as stems_of

CAP = 256
"""Sentences embedded per text: some two seconds of one core."""

THEMES = 32
"""Frequent words that stand for what a text is about."""


def closest(sentences: Sequence[str], question: str, cap: int = CAP) -> list[int]:
    """Return the positions of the `cap` sentences that share most with `question`, in order."""
    if len(sentences) <= cap:
        return list(range(len(sentences)))
    stems = [stems_of(sentence) for sentence in sentences]
    return _best(stems, stems_of(question), cap)


def central(sentences: Sequence[str], cap: int = CAP) -> list[int]:
    """Return the positions of the opening and of the most typical sentences, in order."""
    if len(sentences) <= cap:
        return list(range(len(sentences)))
    stems = [stems_of(sentence) for sentence in sentences]
    opening = cap // 8
    common = Counter(stem for found in stems for stem in found)
    # Words in more than a third of the sentences say nothing about any of them.
    themes = [stem for stem, count in common.most_common() if count * 3 <= len(stems)][:THEMES]
    rest = _best(stems[opening:], set(themes), cap - opening)
    return [*range(opening), *(opening + index for index in rest)]


def _best(stems: Sequence[set[str]], wanted: set[str], cap: int) -> list[int]:
    """Rank by the rarity of shared words; earlier sentences win ties."""
    seen = Counter(stem for found in stems for stem in found & wanted)
    weight = {stem: math.log(1 + len(stems) / count) for stem, count in seen.items()}
    scores = [
        sum(weight[stem] for stem in sorted(found & wanted)) / math.sqrt(1 + len(found))
        for found in stems
    ]
    ranked = sorted(range(len(stems)), key=lambda index: (-scores[index], index))
    return sorted(ranked[:cap])
