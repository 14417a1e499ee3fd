"""What the gateway asks of the move from v2."""

from typing import Any, Protocol

from cartrita.protocol.principal import Principal


class Migration(Protocol):
    """The move from v2, for administrators."""

    async def status(self) -> dict[str, Any]:
        """Return how v2's routes are shared out, and how the two sides' answers compared."""

    async def turn(self, who: Principal, reason: str, *, rolled_back: bool) -> dict[str, Any]:
        """Send everything to v2, or share it out again; returns when all gateways do so."""

    async def clear(self, who: Principal) -> None:
        """Begin to count anew."""

    async def routes(self) -> list[dict[str, Any]]:
        """Return what the bridge makes of each route of v2."""
