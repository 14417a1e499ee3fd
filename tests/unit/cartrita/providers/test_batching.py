"""An embedder that joins what concurrent callers ask for."""

import asyncio

import numpy as np

from cartrita.providers.batching import BatchedEmbedder, CountingBatches
from tests.support.fakes import WordCounter, WordEmbedder


class Counting(WordEmbedder, WordCounter):
    """Keeps what it was asked for, batch by batch."""

    def __init__(self):
        super().__init__()
        self.batches = []

    async def embed(self, texts):
        self.batches.append(list(texts))
        return await super().embed(texts)


async def test_callers_of_one_moment_are_one_batch_and_get_their_own_rows():
    inner = Counting()
    embedder = BatchedEmbedder(inner)
    texts = [[f"text {number}", "another"] for number in range(20)]
    found = await asyncio.gather(*map(embedder.embed, texts))
    assert len(inner.batches) == 1
    for asked, rows in zip(texts, found, strict=True):
        assert rows.dtype == np.float32
        assert np.array_equal(rows, await WordEmbedder().embed(asked))


async def test_long_texts_come_in_batches_that_fit_one_pass():
    inner = Counting()
    await BatchedEmbedder(inner).embed(["x" * 20_000] * 20)
    assert [len(batch) for batch in inner.batches] == [8, 8, 4]


async def test_it_is_what_it_wraps():
    embedder = CountingBatches(Counting())
    assert (embedder.info, embedder.dimensions) == (WordEmbedder.info, 384)
    assert (await embedder.embed([])).shape == (0, 384)
    assert await embedder.count_tokens(["two words"]) == [2]
