"""What stands between a conversation and the chat models it may be held with."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from cartrita.errors import CartritaError
from cartrita.protocol.task import Preferences

Typed = Callable[[Exception], CartritaError | None]
"""Says what a provider's exception means here; None when it is none of the provider's."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a conversation asks of a model.

    Attributes:
        pressure: How full the fullest budget above the task is, from 0 to 1.
        complexity: How hard the request looks, from 0 to 1.
    """

    preferences: Preferences = field(default_factory=Preferences)
    pressure: float = 0.0
    complexity: float = 0.0


@dataclass(slots=True)
class Turn:
    """One call of a model.

    Attributes:
        tokens: How long its answer became; a longer one takes longer.
    """

    tokens: int = 0


class Lane(Protocol):
    """The way to one model: whether it is well, and how many may call its provider at once."""

    def turn(self, wait: float) -> AbstractAsyncContextManager[Turn]:
        """Take a turn, in which one call is made; how that ends is learned from.

        Args:
            wait: Seconds to wait for it at most.

        Raises:
            NetworkFailed: On entering: the model is left alone for now, or there was no turn.
        """


class FreeLane:
    """A way to models that run here: nobody waits, and nothing is learned."""

    def turn(self, wait: float) -> AbstractAsyncContextManager[Turn]:
        """Go."""
        return _Free()


class _Free(AbstractAsyncContextManager[Turn]):
    async def __aenter__(self) -> Turn:
        return Turn()

    async def __aexit__(self, *error: object) -> None:
        return None
