"""Summarises by picking sentences."""

import asyncio
import re
from dataclasses import replace

import numpy as np

from cartrita.providers.embedded.prefilter import central
from cartrita.providers.embedded.sentences import split
from cartrita.providers.embedded.textrank import Scores, pick, rank
from cartrita.providers.ports import Embedder, ModelInfo, Sentence, Summary, TokenCounter

SHARE = 3
"""At most one sentence in so many is picked, however large the budget."""

_DANGLING = re.compile(
    r"(?:however|but|and|so|it|this|that|these|those|he|she|they|also|then|yet|still)\b",
    re.IGNORECASE,
)
_SHORT = 5


class ExtractiveSummarizer:
    """Picks the sentences that stand for the rest, verbatim: TextRank, a bias, and MMR.

    Args:
        embedder: Says how alike sentences are.
        counter: Counts the tokens of the budget.
    """

    info = ModelInfo(
        model="local/minilm-extractive",
        provider="embedded",
        generative=False,
        limitations=(
            "Extractive: repeats sentences of the text, writes none of its own.",
            "May miss the point of texts whose point no single sentence states.",
            "Trained on English.",
        ),
    )

    def __init__(self, embedder: Embedder, counter: TokenCounter) -> None:
        self._embedder = embedder
        self._counter = counter

    async def summarize(self, text: str, max_tokens: int) -> Summary:
        """Return sentences of `text`, at most `max_tokens` WordPiece tokens together."""
        spans = await asyncio.to_thread(split, text)
        if not spans:
            return Summary("", (), self.info)
        texts = [span.text for span in spans]
        kept = await asyncio.to_thread(central, texts)
        candidates = [texts[index] for index in kept]
        costs = await self._counter.count_tokens(candidates)
        vectors = await self._embedder.embed(candidates)
        scores = rank(vectors, _prior(candidates))
        rows = pick(vectors, scores, costs, max_tokens, most=-(-len(spans) // SHARE))
        notes = []
        if len(kept) < len(spans):
            notes.append(f"Considered {len(kept)} of {len(spans)} sentences.")
        if rows:
            found = tuple(Sentence(kept[row], candidates[row]) for row in rows)
        else:
            best = int(scores.argmax())
            cut = await self._cut(candidates[best], max_tokens)
            found = (Sentence(kept[best], cut),)
            notes.append(f"No sentence fits into {max_tokens} tokens: the best one was cut short.")
        info = replace(self.info, limitations=(*self.info.limitations, *notes))
        return Summary(" ".join(item.text for item in found), found, info)

    async def _cut(self, sentence: str, max_tokens: int) -> str:
        """Return the longest beginning of whole words that fits the budget."""
        ends = [match.end() for match in re.finditer(r"\S+", sentence)]
        counts = await self._counter.count_tokens([sentence[:end] for end in ends[:max_tokens]])
        fitting = [end for end, count in zip(ends, counts, strict=False) if count <= max_tokens]
        return sentence[: fitting[-1]] if fitting else ""


def _prior(sentences: list[str]) -> Scores:
    """Favour openings; distrust fragments, questions, quotes and what leans on its neighbours.

    Newspapers, reports and mails say first what matters most. The factors were chosen by
    hand on a few articles.
    """
    prior = 1 + 1 / np.sqrt(1 + np.arange(len(sentences), dtype=np.float64))
    for row, sentence in enumerate(sentences):
        if len(sentence.split()) < _SHORT:
            prior[row] *= 0.5
        if sentence.endswith("?") or sentence[0] in "\"'\u201c\u2018\u00ab":
            prior[row] *= 0.7
        if _DANGLING.match(sentence):
            prior[row] *= 0.85
    result: Scores = prior
    return result
