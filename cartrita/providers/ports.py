"""What agents may ask of the outside world."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""Shape (n, dimensions), each row of length 1."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which model answered and how far to trust it."""

    model: str
    provider: str
    generative: bool
    limitations: tuple[str, ...] = ()


class Embedder(Protocol):
    """Turns texts into vectors whose dot product is their likeness."""

    info: ModelInfo
    dimensions: int

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row per text, in order, normalised, dtype float32."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the input and its position in it, from 0."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary and, when it is extractive, the sentences it is made of."""

    text: str
    sentences: tuple[Sentence, ...]
    info: ModelInfo


class Summarizer(Protocol):
    """Makes a text shorter."""

    async def summarize(self, text: str, max_tokens: int) -> Summary:
        """Return a summary of at most `max_tokens` tokens of the model in use."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label and how sure the model is, from 0 to 1."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Classification:
    """Labels, best first."""

    labels: tuple[Label, ...]
    info: ModelInfo


class TextClassifier(Protocol):
    """Sorts texts into labels."""

    async def classify(self, text: str, labels: Sequence[str]) -> Classification:
        """Score `text` against `labels` given by the caller."""

    async def sentiment(self, text: str) -> Classification:
        """Score `text` as positive, neutral or negative."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Where in the context an answer stands, in characters."""

    answer: str
    score: float
    start: int
    end: int
    found: bool
    info: ModelInfo


class QuestionAnswerer(Protocol):
    """Finds answers in a given context."""

    async def answer(self, question: str, context: str) -> Passage:
        """Return the passage of `context` that answers `question` best."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A query's answer: column names, rows of JSON values, and whether rows were cut off."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool


class SqlEngine(Protocol):
    """Runs read-only SQL over tables given with the query."""

    async def query(
        self,
        sql: str,
        tables: dict[str, list[dict[str, Any]]],
        *,
        max_rows: int,
        timeout: float,
    ) -> Rows:
        """Run one SELECT over `tables`, at most `timeout` seconds and `max_rows` rows."""
