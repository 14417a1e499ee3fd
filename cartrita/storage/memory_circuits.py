"""Keeps circuits in this process."""

from cartrita.storage.circuits import Change, Circuit


class InMemoryCircuits:
    """Circuits in a dictionary."""

    def __init__(self) -> None:
        self._held: dict[str, Circuit] = {}

    async def change(self, key: str, change: Change) -> tuple[Circuit, Circuit]:
        """Change a circuit; nothing is awaited, so nobody comes in between."""
        before = self._held.get(key, Circuit())
        after = self._held[key] = change(before)
        return before, after

    async def close(self) -> None:
        """Nothing is held."""
