"""What tells several hosts that one of them is at something; its loss costs work only."""

from typing import Protocol


class Leases(Protocol):
    """Leases by name. One ends by itself where its holder does not come again."""

    async def take(self, key: str, seconds: float) -> str | None:
        """Return a mark that the lease is ours for so long; None while it is somebody else's.

        Raises:
            ServiceUnavailable: They cannot be reached.
        """

    async def extend(self, key: str, mark: str, seconds: float) -> bool:
        """Have a lease last so long from now on; tells whether it is ours still.

        Raises:
            ServiceUnavailable: They cannot be reached.
        """

    async def give(self, key: str, mark: str) -> None:
        """End a lease, if it is ours still.

        Raises:
            ServiceUnavailable: They cannot be reached.
        """

    async def held(self, key: str) -> bool:
        """Tell whether a lease is anybody's.

        Raises:
            ServiceUnavailable: They cannot be reached.
        """

    async def close(self) -> None:
        """Let go of them."""
