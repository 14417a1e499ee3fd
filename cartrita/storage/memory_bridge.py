"""Keeps the move from v2 in this process."""

from collections.abc import Sequence

from cartrita.storage.bridge import Compared, Switch


class InMemorySwitches:
    """The switch in a variable."""

    def __init__(self) -> None:
        self._switch = Switch()

    async def read(self) -> Switch:
        """Return how it stands."""
        return self._switch

    async def turn(self, switch: Switch) -> None:
        """Have it stand so."""
        self._switch = switch


class InMemoryComparisons:
    """Comparisons in a dictionary."""

    def __init__(self) -> None:
        self._rows: dict[str, Compared] = {}

    async def add(self, rows: Sequence[Compared]) -> None:
        """Add counts to what is known of some routes."""
        for row in rows:
            old = self._rows.get(row.route, Compared(row.route))
            self._rows[row.route] = Compared(
                row.route,
                old.same + row.same,
                old.different + row.different,
                old.failed + row.failed,
                old.left_out + row.left_out,
                row.sample or old.sample,
            )

    async def all(self) -> list[Compared]:
        """Return every route that was compared."""
        return sorted(self._rows.values(), key=lambda row: row.route)

    async def clear(self) -> None:
        """Begin anew."""
        self._rows.clear()
