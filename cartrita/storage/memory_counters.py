"""Counts requests in this process."""

from collections.abc import Sequence

from cartrita.clock import Clock
from cartrita.storage.counters import SLOTS, Ask, Counted


class InMemoryCounters:
    """Buckets in dictionaries."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, dict[int, int]] = {}

    async def settle(self, asks: Sequence[Ask]) -> list[Counted]:
        """Count what is told and grant what fits."""
        return [self._settle(ask) for ask in asks]

    def _settle(self, ask: Ask) -> Counted:
        now = self._clock.now()
        slot = int(now * 1000) // ask.slot_ms
        held = self._buckets.get(ask.key, {})
        counts = {at: count for at, count in held.items() if at >= slot - SLOTS}
        room = ask.limit - ask.told - sum(counts.values())
        granted = max(0, min(ask.want, room))
        if ask.told + granted:
            counts[slot] = counts.get(slot, 0) + ask.told + granted
        self._buckets[ask.key] = counts
        return Counted(granted, now, dict(counts))

    async def close(self) -> None:
        """Nothing is held."""
