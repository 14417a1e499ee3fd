"""What embedders are asked that texts leave for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from cartrita.cost.fee import Fee
from cartrita.providers.ports import Embedder, Vectors


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors, and what they took.

    Attributes:
        tokens: As the provider counts them.
        told: Whether it told; else they are an estimate.
    """

    vectors: Vectors
    tokens: int
    told: bool


@runtime_checkable
class FarEmbedder(Embedder, Protocol):
    """An embedder elsewhere: texts leave for it, and it costs.

    Attributes:
        fee: What it costs.
    """

    fee: Fee

    async def ask(self, texts: Sequence[str]) -> Embedded:
        """Return one row per text, in order, and what that took.

        Raises:
            NetworkFailed: It cannot be reached, is busy, or left alone for now.
        """
