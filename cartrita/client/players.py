"""What carries a client's flows out, as its parts know it."""

from abc import ABC, abstractmethod
from typing import Protocol

from cartrita.client.conversation import Conversation
from cartrita.client.steps import Flow, T


class Player(Protocol):
    """Carries a flow out."""

    def __call__(self, flow: Flow[T]) -> T:
        """Return what it returns."""


class AsyncPlayer(Protocol):
    """The same for an event loop."""

    async def __call__(self, flow: Flow[T]) -> T:
        """Return what it returns."""


class Part(ABC):
    """A part of the blocking client."""

    _talk: Conversation

    @abstractmethod
    def _play(self, flow: Flow[T]) -> T:
        """Carry a flow out."""


class AsyncPart(ABC):
    """A part of the asynchronous client."""

    _talk: Conversation

    @abstractmethod
    async def _play(self, flow: Flow[T]) -> T:
        """Carry a flow out."""
