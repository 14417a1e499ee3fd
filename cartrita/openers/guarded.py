"""Opens what all providers of a process are called through."""

# ruff: noqa: PLC0415 - a process pays for the adapters that its agents ask for

from collections.abc import Callable
from typing import Any

from cartrita.config.kinds import text_of
from cartrita.config.settings import Settings
from cartrita.providers.guarded import Flow
from cartrita.storage.circuits import Circuits
from cartrita.storage.memory_circuits import InMemoryCircuits


def flow_openers(settings: Settings) -> dict[Any, Callable[[Any], Any]]:
    """Return how it is opened."""
    return {Flow: lambda _services: open_flow(settings)}


def open_flow(settings: Settings) -> Flow:
    """Return what this process knows of the providers it calls."""
    routing = settings.routing
    return Flow(_circuits(settings), routing.calls_at_once, routing.hedge_after_s)


def _circuits(settings: Settings) -> Circuits:
    """Return circuits that all hosts share where there is a Valkey, else this host's own."""
    url = text_of(settings.redis.dsn)
    if url is None:
        return InMemoryCircuits()
    from cartrita.storage.valkey_circuits import ValkeyCircuits

    return ValkeyCircuits(url, prefix=f"cartrita:{settings.instance}:circuit:")
