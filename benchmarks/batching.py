"""Does it help to embed together what concurrent tasks ask for?

    python -m benchmarks.batching

One text each, from several callers at once: the built-in model as it is, and behind
`BatchedEmbedder`; then the same against a provider that takes 40 ms for a request, whatever is in
it, and serves eight at once.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence

import numpy as np

from cartrita.providers.batching import BatchedEmbedder
from cartrita.providers.embedded.minilm import MiniLm
from cartrita.providers.ports import Embedder, Vectors

CALLERS = 16
ROUNDS = 12
TEXT = "When will the refund for order number {} of last week be paid out to my account?"


class Remote:
    """A provider at a distance."""

    info, dimensions = MiniLm.info, MiniLm.dimensions

    def __init__(self) -> None:
        self._turns, self.requests = asyncio.Semaphore(8), 0

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Wait for a turn and for the answer."""
        self.requests += 1
        async with self._turns:
            await asyncio.sleep(0.04)
        return np.zeros((len(texts), self.dimensions), dtype=np.float32)

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count nothing."""
        return [0] * len(texts)


async def measure(name: str, embedder: Embedder, callers: int, rounds: int = ROUNDS) -> None:
    """Let so many callers embed one text after the other, and print what that took."""
    waits: list[float] = []

    async def one(caller: int) -> None:
        for number in range(rounds):
            began = time.perf_counter()
            await embedder.embed([TEXT.format(caller * rounds + number)])
            waits.append(time.perf_counter() - began)

    await embedder.embed(["warm"])
    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*map(one, range(callers)))
    took, cpu = time.perf_counter() - began, time.process_time() - used
    texts = callers * rounds
    print(
        f"{name:28} {callers:3} callers  {texts / took:8.1f} texts/s  "
        f"p50 {statistics.median(waits) * 1000:7.1f} ms  {cpu / texts * 1000:6.2f} ms CPU each"
    )


async def main() -> None:
    """Compare."""
    model = MiniLm()
    for callers in (1, CALLERS):
        await measure("built-in, one by one", model, callers)
        await measure("built-in, together", BatchedEmbedder(model), callers)
    for callers in (1, CALLERS, 64):
        alone, inner = Remote(), Remote()
        await measure("remote, one by one", alone, callers)
        await measure("remote, together", BatchedEmbedder(inner, lanes=8), callers)
        print(f"{'':28} {alone.requests} requests and {inner.requests}")


if __name__ == "__main__":
    asyncio.run(main())
