"""What operators ask of the move from v2: a part of both clients."""

from typing import Any

from cartrita.client.players import AsyncPart, Part


class Moving(Part):
    """The bridge beside a v2 that still runs; for administrators."""

    def bridge(self) -> dict[str, Any]:
        """Return how v2's routes are shared out, and how the two sides' answers compared."""
        return self._play(self._talk.bridge())

    def bridge_routes(self) -> list[dict[str, Any]]:
        """Return what the bridge makes of each route of v2."""
        return self._play(self._talk.bridge_routes())

    def roll_back(self, reason: str = "") -> dict[str, Any]:
        """Send all of v2's routes to v2; returns when all gateways do so.

        Raises:
            ConfigurationInvalid: There is no v2.
        """
        return self._play(self._talk.turn_bridge(reason, rolled_back=True))

    def resume(self, reason: str = "") -> dict[str, Any]:
        """Share them out again, as the settings say."""
        return self._play(self._talk.turn_bridge(reason, rolled_back=False))

    def clear_comparisons(self) -> None:
        """Begin to count anew how the two sides' answers compare."""
        self._play(self._talk.clear_comparisons())


class AsyncMoving(AsyncPart):
    """The same for an event loop."""

    async def bridge(self) -> dict[str, Any]:
        """Return how v2's routes are shared out, and how the two sides' answers compared."""
        return await self._play(self._talk.bridge())

    async def bridge_routes(self) -> list[dict[str, Any]]:
        """Return what the bridge makes of each route of v2."""
        return await self._play(self._talk.bridge_routes())

    async def roll_back(self, reason: str = "") -> dict[str, Any]:
        """Send all of v2's routes to v2; raises as `Client.roll_back` does."""
        return await self._play(self._talk.turn_bridge(reason, rolled_back=True))

    async def resume(self, reason: str = "") -> dict[str, Any]:
        """Share them out again, as the settings say."""
        return await self._play(self._talk.turn_bridge(reason, rolled_back=False))

    async def clear_comparisons(self) -> None:
        """Begin to count anew how the two sides' answers compare."""
        await self._play(self._talk.clear_comparisons())
