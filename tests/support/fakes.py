"""Small deterministic implementations of the ports, for unit tests."""

import asyncio
import re
import zlib
from collections.abc import Sequence

import numpy as np

from cartrita.providers.ports import (
    Classification,
    Label,
    ModelInfo,
    Passage,
    ProbeReport,
    Sentence,
    Summary,
    Vectors,
)

FAKE = ModelInfo("fake/model", "fake", generative=False, limitations=("Not a model.",))


class WordEmbedder:
    """Texts are alike when they share words; nothing else counts."""

    info = ModelInfo("fake/words", "fake", generative=False)
    dimensions = 384

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                row[zlib.crc32(word.encode()) % self.dimensions] += 1
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


class WordCounter:
    """One token per word."""

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


class FirstWords:
    """A summarizer that keeps the first words and remembers the length it was given."""

    info = FAKE

    def __init__(self) -> None:
        self.max_tokens = 0

    async def summarize(self, text: str, max_tokens: int) -> Summary:
        self.max_tokens = max_tokens
        short = " ".join(text.split()[:3])
        return Summary(short, (Sentence(0, short),), self.info)


class FirstLabel:
    """A classifier that prefers the label that was named first."""

    info = FAKE
    sentiment_info = ModelInfo("fake/mood", "fake", generative=False)

    async def classify(self, text: str, labels: Sequence[str]) -> Classification:
        scores = [Label(label, 1.0 / (place + 1)) for place, label in enumerate(labels)]
        return Classification(tuple(scores), self.info)

    async def sentiment(self, text: str) -> Classification:
        return Classification((Label("neutral", 1.0),), self.sentiment_info)


class WordFinder:
    """Answers with the first word of the context that the question also has."""

    info = FAKE

    async def answer(self, question: str, context: str) -> Passage:
        for match in re.finditer(r"\w+", context):
            if match.group() in question:
                return Passage(match.group(), 1.0, match.start(), match.end(), True, self.info)
        return Passage("", 0.1, 0, 0, False, self.info)


class FixedProbes:
    """Reports what it was told to report."""

    def __init__(self, *reports: ProbeReport) -> None:
        self._reports = reports

    async def check(self) -> tuple[ProbeReport, ...]:
        return self._reports


class FakeProbe:
    """A probe that answers, fails with `error`, or hangs for ever."""

    def __init__(
        self,
        name: str,
        *,
        error: Exception | None = None,
        hangs: bool = False,
        required: bool = True,
    ) -> None:
        self.name = name
        self.required = required
        self._error = error
        self._hangs = hangs

    async def check(self) -> str:
        if self._hangs:
            await asyncio.Event().wait()
        if self._error:
            raise self._error
        return f"{self.name} works"
