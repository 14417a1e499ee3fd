"""Cartrita: an actor-model runtime for AI agents, on Ray."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("cartrita")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0.0.0"
