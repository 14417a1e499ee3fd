"""Embedders elsewhere: what concurrent tasks ask for goes together, guarded, and is told apart."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from cartrita.batcher import Batcher
from cartrita.cost.fee import Fee
from cartrita.providers.guarded import Guarded
from cartrita.providers.ports import ModelInfo, Vectors
from cartrita.providers.ports_embedding import Embedded

MOST_TEXTS = 128
MOST_CHARS = 200_000
"""Of one request; OpenAI takes 2,048 texts and 300,000 tokens."""

AT_ONCE = 8
"""Requests of one process that are under way; the provider's window may allow fewer."""

MOST_WAITING = 65_536
LINGER = 0.002
"""Seconds that a first text waits for others."""

BYTES_PER_TOKEN = 3
"""Errs on the long side for English, where the provider does not count."""

Row = tuple[Vectors, int, bool]
"""A text's vector, what it is counted as, and whether the provider told."""


class Server(Protocol):
    """What makes vectors in one request."""

    info: ModelInfo
    dimensions: int

    async def request(self, texts: Sequence[str]) -> tuple[Vectors, int | None]:
        """Return one row per text, normalised, and what all are counted as where that is told."""

    async def close(self) -> None:
        """Close the connections."""


class FarEmbeddings:
    """An embedder on a server.

    Texts of several tasks go in one request; each is charged by its length for its part of
    what the provider counts, and the parts add up.

    Args:
        server: Makes the vectors.
        guard: What requests go out through.
        fee: What they cost.
    """

    def __init__(self, server: Server, guard: Guarded, fee: Fee) -> None:
        self._server, self._guard, self.fee = server, guard, fee
        self.info, self.dimensions = server.info, server.dimensions
        self._batcher: Batcher[str, Row] = Batcher(
            self._rows,
            most=MOST_CHARS,
            weigh=_weight,
            linger=LINGER,
            lanes=AT_ONCE,
            queue=MOST_WAITING,
            name=server.info.model,
        )

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row per text, in order, normalised, float32."""
        return (await self.ask(texts)).vectors

    async def ask(self, texts: Sequence[str]) -> Embedded:
        """Return one row per text, in order, and what that took."""
        rows = await self._batcher.ask(texts)
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for place, (row, _, _) in enumerate(rows):
            vectors[place] = row
        return Embedded(vectors, sum(row[1] for row in rows), all(row[2] for row in rows))

    async def _rows(self, texts: list[str]) -> list[Row]:
        called = await self._guard.call(lambda: self._server.request(texts))
        vectors, told = called.answer
        sizes = [len(text.encode("utf-8", "replace")) for text in texts]
        if told is None:
            counted = [-(-size // BYTES_PER_TOKEN) for size in sizes]
        else:
            counted = list(parts(told, sizes))
        whole = [tokens * called.calls for tokens in counted]
        return list(zip(vectors, whole, [told is not None] * len(texts), strict=True))

    async def close(self) -> None:
        """Embed nothing more, and close the connections."""
        self._batcher.close()
        await self._server.close()


def parts(total: int, weights: Sequence[int]) -> Iterator[int]:
    """Share a number out by weight, in whole numbers that add up to it."""
    sizes = [weight + 1 for weight in weights]  # an empty text is sent, too
    whole, done, given = sum(sizes), 0, 0
    for size in sizes:
        done += size
        upto = total * done // whole
        yield upto - given
        given = upto


def _weight(text: str) -> int:
    return max(len(text), MOST_CHARS // MOST_TEXTS)
