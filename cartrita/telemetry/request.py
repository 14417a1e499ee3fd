"""The request that is served here, in so far as others can tell of it when its server dies."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

Brief = list[Any]
"""Its span's name, the span around that, and when it began, in Unix seconds."""

_served: ContextVar[Callable[[], Brief] | None] = ContextVar("served", default=None)


def serving(brief: Callable[[], Brief]) -> None:
    """Have what this asyncio task asks for say for which request that is."""
    _served.set(brief)


def served() -> Brief | None:
    """Return the request that this asyncio task serves; None where it serves none that is told."""
    brief = _served.get()
    return brief() if brief else None
