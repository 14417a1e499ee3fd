"""What counts requests for all replicas together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

SLOTS = 12
"""Parts of a window that are counted apart. What is in the oldest one is let go of whole, so
what was used comes back a twelfth of the window late at most, and never early."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one bucket is told and asked.

    Attributes:
        told: Requests that were let in already; less than 0 gives some back.
        want: Requests that wait to be let in.
        limit: The most in one window.
        slot_ms: Milliseconds of each of its `SLOTS` parts.
    """

    key: str
    told: int
    want: int
    limit: int
    slot_ms: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What a bucket holds afterwards.

    Attributes:
        granted: How many of those who waited are let in.
        now: The counter's Unix time in seconds, which all replicas share.
        counts: Requests in each slot that still counts, by the slot's number.
    """

    granted: int
    now: float
    counts: Mapping[int, int]


class Counters(Protocol):
    """Buckets of requests that all replicas share; their loss matters to nobody."""

    async def settle(self, asks: Sequence[Ask]) -> list[Counted]:
        """Count what is told and grant what fits, each bucket atomically and in order.

        Raises:
            ServiceUnavailable: They cannot be reached.
        """

    async def close(self) -> None:
        """Let go of them."""
