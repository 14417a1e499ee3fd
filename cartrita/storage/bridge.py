"""What is kept of the move from v2: the switch, and how answers compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Switch:
    """Whether everything is v2's for now.

    Attributes:
        by: Who said so last; empty where nobody ever did.
        at: When, in Unix seconds.
    """

    rolled_back: bool = False
    reason: str = ""
    by: str = ""
    at: float = 0.0


class Switches(Protocol):
    """The one switch of an instance. Raises `ServiceUnavailable` where it cannot be reached."""

    async def read(self) -> Switch:
        """Return how it stands."""

    async def turn(self, switch: Switch) -> None:
        """Have it stand so."""


@dataclass(frozen=True, slots=True)
class Compared:
    """How the two sides' answers to one route compared.

    Attributes:
        same: Answers without a difference that may break a client.
        different: Answers with one.
        failed: The other side gave no answer in time, or none that could be compared.
        left_out: There was no room to compare these.
        sample: The latest answers with a difference: `at`, `answered`, `differences`.
    """

    route: str
    same: int = 0
    different: int = 0
    failed: int = 0
    left_out: int = 0
    sample: dict[str, Any] | None = None


class Comparisons(Protocol):
    """Comparisons by route, added up. Raises `ServiceUnavailable` where it cannot be reached."""

    async def add(self, rows: Sequence[Compared]) -> None:
        """Add counts to what is known of some routes, each named once; a sample replaces one."""

    async def all(self) -> list[Compared]:
        """Return every route that was compared, in the order of their names."""

    async def clear(self) -> None:
        """Begin anew."""
