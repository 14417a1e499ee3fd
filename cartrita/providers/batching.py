"""Embeds what concurrent tasks ask for together."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from cartrita.batcher import Batcher
from cartrita.providers.ports import Embedder, TokenCounter, Vectors

HEAVIEST = 8_192
"""Characters of one batch: some 2,000 tokens, which the built-in model takes in one pass."""

LONGEST = 1_024
"""Characters of a text that count: models read no more than some hundred tokens."""

LIGHTEST = 32

MOST_WAITING = 65_536


class CountingEmbedder(Embedder, TokenCounter, Protocol):
    """An embedder that can count, as the built-in one does."""


class BatchedEmbedder:
    """An embedder that joins what callers ask for within a moment.

    Args:
        inner: Does the work.
        lanes: Batches that may be under way at once: one for a model in this process.
        linger: Seconds that a first text waits for others.
    """

    def __init__(self, inner: Embedder, *, lanes: int = 1, linger: float = 0.002) -> None:
        self._inner = inner
        self.info, self.dimensions = inner.info, inner.dimensions
        self._batcher: Batcher[str, Vectors] = Batcher(
            self._rows,
            most=HEAVIEST,
            weigh=_weight,
            linger=linger,
            lanes=lanes,
            queue=MOST_WAITING,
            name=inner.info.model,
        )

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row per text, in order, normalised, dtype float32.

        Raises:
            QueueFull: Too many texts wait.
        """
        rows = await self._batcher.ask(texts)
        if not rows:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        return np.stack(rows)

    async def _rows(self, texts: list[str]) -> list[Vectors]:
        return list(await self._inner.embed(texts))

    def close(self) -> None:
        """Embed nothing more."""
        self._batcher.close()


class CountingBatches(BatchedEmbedder):
    """One that can count, too."""

    def __init__(self, inner: CountingEmbedder) -> None:
        super().__init__(inner)
        self._counter = inner

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text is, without start and end marks."""
        return await self._counter.count_tokens(texts)


def _weight(text: str) -> int:
    return max(LIGHTEST, min(LONGEST, len(text)))
