"""Sorts texts into labels by likeness."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cartrita.providers.embedded import sentiment
from cartrita.providers.embedded.sentences import split
from cartrita.providers.ports import Classification, Embedder, Label, ModelInfo

TEMPLATE = "This text is about {}."
"""Better than the bare label by a tenth on two small sets; so is `BACKGROUND`."""

BACKGROUND = (
    "It is.",
    "This is a text.",
    "He said so yesterday.",
    "There is something here.",
    "They did it again last week.",
    "I do not know.",
    "The thing was on the table.",
    "We will see what happens.",
    "She went there with a friend.",
    "It happened in the morning.",
    "That was a good one.",
    "Some of them were new.",
)
"""Texts about nothing: a label that is close even to these is close to everything."""

CORRECTION = 0.5
"""Share of a label's likeness to the background that is taken off."""

TEMPERATURE = 0.05
"""Of the softmax over likenesses, which lie within some 0.3 of each other."""

MARGIN = 0.1
"""A first label that leads by less is a guess."""

WINDOW = 900
"""Characters that surely fit into the model's 256 tokens of English."""

WINDOWS = 8
"""Windows of a long text that are read, evenly spread."""


class EmbeddedClassifier:
    """Compares a text with the caller's labels; feelings come from a word list."""

    info = ModelInfo(
        model="local/minilm-zero-shot",
        provider="embedded",
        generative=False,
        limitations=(
            "Topics only: 41 of 48 short texts right among six topics; no moods, no intents.",
            "Scores compare the given labels with each other; one always wins.",
            "Trained on English.",
        ),
    )
    sentiment_info = sentiment.INFO

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._lexicon = sentiment.Lexicon()

    async def classify(self, text: str, labels: Sequence[str]) -> Classification:
        """Score `text` against `labels`, best first; scores sum to 1."""
        parts = await asyncio.to_thread(windows, text)
        hypotheses = [TEMPLATE.format(label) for label in labels]
        vectors = await self._embedder.embed([*parts, *hypotheses, *BACKGROUND])
        texts, labelled, background = np.split(vectors, [len(parts), len(parts) + len(hypotheses)])
        likeness = labelled @ (_middle(texts) - CORRECTION * background.mean(axis=0))
        scores = _softmax(likeness / np.float32(TEMPERATURE))
        ranked = sorted(
            (Label(label, float(score)) for label, score in zip(labels, scores, strict=True)),
            key=lambda label: -label.score,
        )
        return Classification(tuple(ranked), self._judged(ranked))

    async def sentiment(self, text: str) -> Classification:
        """Score `text` as positive, neutral or negative."""
        return await asyncio.to_thread(self._lexicon.classify, text)

    def _judged(self, ranked: Sequence[Label]) -> ModelInfo:
        margin = ranked[0].score - ranked[1].score
        if margin >= MARGIN:
            return self.info
        note = f"Undecided: the first two labels are only {margin:.2f} apart."
        return replace(self.info, limitations=(*self.info.limitations, note))


def windows(text: str) -> list[str]:
    """Cut a text into pieces the model can read whole, at most `WINDOWS`, evenly spread."""
    pieces: list[str] = []
    for span in split(text):
        if pieces and len(pieces[-1]) + len(span.text) < WINDOW:
            pieces[-1] = f"{pieces[-1]} {span.text}"
        else:
            pieces.append(span.text)
    if len(pieces) <= WINDOWS:
        return pieces or [text]
    return [pieces[round(step)] for step in np.linspace(0, len(pieces) - 1, WINDOWS)]


def _middle(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    mean: npt.NDArray[np.float32] = vectors.mean(axis=0)
    length = float(np.linalg.norm(mean))
    return mean / np.float32(length) if length else mean


def _softmax(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    raised: npt.NDArray[np.float32] = np.exp(values - values.max())
    raised /= raised.sum()
    return raised
