"""Opens what the settings name and hands it to whoever declares a need for it."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, get_type_hints

from cartrita.declare import Agent
from cartrita.errors import ConfigurationInvalid

T = TypeVar("T")
Factory = Callable[["Services"], Any | Awaitable[Any]]


class Services:
    """Adapters by the port they implement, opened on first use, closed together.

    Args:
        factories: How to open each port; a factory may ask these services for other ports.
    """

    def __init__(self, factories: Mapping[Any, Factory]) -> None:
        self._factories = dict(factories)
        self._open: dict[Any, Any] = {}

    async def get(self, port: type[T]) -> T:
        """Return the adapter of a port.

        Raises:
            ConfigurationInvalid: Nothing provides it.
        """
        if port not in self._open:
            factory = self._factories.get(port)
            if factory is None:
                raise ConfigurationInvalid(f"Nothing provides the port {port.__name__!r}.")
            made = factory(self)
            self._open[port] = await made if inspect.isawaitable(made) else made
        adapter: T = self._open[port]
        return adapter

    async def build(self, agent: type[Agent]) -> Agent:
        """Make an agent with the ports its constructor's annotations name."""
        if agent.__init__ is object.__init__:
            return agent()
        hints = get_type_hints(agent.__init__)
        hints.pop("return", None)
        try:
            ports = {name: await self.get(port) for name, port in hints.items()}
        except ConfigurationInvalid as error:
            raise ConfigurationInvalid(f"{agent.__name__} cannot start: {error}") from error
        return agent(**ports)

    async def close(self) -> None:
        """Close every adapter that can be closed, the last opened first."""
        for adapter in reversed(self._open.values()):
            close = getattr(adapter, "close", None)
            if close is not None:
                done = close()
                if inspect.isawaitable(done):
                    await done
        self._open.clear()
