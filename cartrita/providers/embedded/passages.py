"""Answers questions with the closest sentence of a context."""

import asyncio
from dataclasses import replace

from cartrita.providers.embedded.prefilter import closest
from cartrita.providers.embedded.sentences import split
from cartrita.providers.ports import Embedder, ModelInfo, Passage

THRESHOLD = 0.30
"""Below this likeness nothing is an answer. Sentences on the question's subject score 0.27 to
0.64 whether they answer it or not, others under 0.17: a bound on the subject, not on truth."""


class SentenceRetrieval:
    """Finds the sentence that is closest in meaning to the question."""

    info = ModelInfo(
        model="local/minilm-sentence-retrieval",
        provider="embedded",
        generative=False,
        limitations=(
            "Returns the closest sentence of the context, not the words that answer.",
            "Cannot tell a sentence that answers from one on the same subject that does not.",
            "Trained on English.",
        ),
    )

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def answer(self, question: str, context: str) -> Passage:
        """Return the closest sentence: `context[start:end]` is its text, exactly.

        When none is close enough the answer is empty, `found` is False and the score says
        how close the best one came.
        """
        spans = await asyncio.to_thread(split, context)
        if not spans:
            return Passage("", 0.0, 0, 0, found=False, info=self.info)
        kept = await asyncio.to_thread(closest, [span.text for span in spans], question)
        vectors = await self._embedder.embed([question, *(spans[index].text for index in kept)])
        likeness = vectors[1:] @ vectors[0]
        row = int(likeness.argmax())
        score = min(max(float(likeness[row]), 0.0), 1.0)
        info = self.info
        if len(kept) < len(spans):
            note = f"Compared the {len(kept)} of {len(spans)} sentences that share most words."
            info = replace(info, limitations=(*info.limitations, note))
        if score < THRESHOLD:
            return Passage("", score, 0, 0, found=False, info=info)
        best = spans[kept[row]]
        return Passage(best.text, score, best.start, best.end, found=True, info=info)
