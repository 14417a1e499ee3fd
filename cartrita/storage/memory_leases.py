"""Keeps leases in this process."""

from cartrita.clock import Clock, new_id


class InMemoryLeases:
    """Leases in a dictionary."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[str, tuple[str, float]] = {}

    async def take(self, key: str, seconds: float) -> str | None:
        """Return a mark that the lease is ours for so long; None while it is somebody else's."""
        if await self.held(key):
            return None
        mark = new_id()
        self._held[key] = mark, self._clock.monotonic() + seconds
        return mark

    async def extend(self, key: str, mark: str, seconds: float) -> bool:
        """Have a lease last so long from now on; tells whether it is ours still."""
        ours = await self.held(key) and self._held[key][0] == mark
        if ours:
            self._held[key] = mark, self._clock.monotonic() + seconds
        return ours

    async def give(self, key: str, mark: str) -> None:
        """End a lease, if it is ours still."""
        if self._held.get(key, ("",))[0] == mark:
            del self._held[key]

    async def held(self, key: str) -> bool:
        """Tell whether a lease is anybody's."""
        return key in self._held and self._held[key][1] > self._clock.monotonic()

    async def close(self) -> None:
        """Nothing is held."""
