"""Cartrita: an actor-model runtime for AI agents, on Ray."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

try:
    __version__ = version("cartrita")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0.0.0"

_FROM_CLIENT = ("AsyncClient", "Client")


def __getattr__(name: str) -> Any:
    """Load the client when it is first asked for: most who import this package have no use."""
    if name in _FROM_CLIENT:
        return getattr(import_module("cartrita.client"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_FROM_CLIENT])
