"""Keeps a bounded number of loaded models."""

from collections import OrderedDict
from typing import Generic, TypeVar

from cartrita.errors import ResourceLimitExceeded

T = TypeVar("T")


class Shelf(Generic[T]):
    """Things by key; those that were used longest ago make room for new ones.

    Args:
        most: How many at most.
        most_mb: How large at most, together.
    """

    def __init__(self, most: int, most_mb: float) -> None:
        self._most, self._most_mb = most, most_mb
        self._kept: OrderedDict[object, tuple[T, float]] = OrderedDict()

    @property
    def keys(self) -> list[object]:
        """What is here, the one to go first in front."""
        return list(self._kept)

    def take(self, key: object) -> T | None:
        """Return what is kept under a key, and keep it longest."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._kept.move_to_end(key)
        return kept[0]

    def clear_for(self, mb: float) -> None:
        """Drop the oldest until one more of this size fits; done before it is loaded.

        Raises:
            ResourceLimitExceeded: It never fits.
        """
        if mb > self._most_mb:
            raise ResourceLimitExceeded(
                f"The model takes {mb:.0f} MB, and `huggingface.most_mb` allows "
                f"{self._most_mb:.0f}: take a smaller one, or raise that."
            )
        while self._kept and (len(self._kept) >= self._most or self._size() + mb > self._most_mb):
            self._kept.popitem(last=False)

    def put(self, key: object, thing: T, mb: float) -> None:
        """Keep a thing of a size."""
        self.clear_for(mb)
        self._kept[key] = (thing, mb)

    def _size(self) -> float:
        return sum(mb for _, mb in self._kept.values())
