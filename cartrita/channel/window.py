"""How many requests one connection may carry at a time."""

import asyncio
from collections import deque


class Window:
    """Places, given out in the order in which they were asked for.

    Args:
        places: How many there are.
    """

    def __init__(self, places: int) -> None:
        if places < 0:
            raise ValueError(f"{places!r} is no number of places")
        self._free = places
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def full(self) -> bool:
        """Whether a newcomer has to wait."""
        return self._free <= 0

    def enter(self) -> None:
        """Take a place, where it is not full."""
        self._free -= 1

    async def turn(self) -> None:
        """Wait for a place and take it."""
        if not self.full:
            self.enter()
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():  # it was given one in that very moment
                self.leave()
            raise

    def leave(self) -> None:
        """Give a place to the next in line."""
        while self._line:
            following = self._line.popleft()
            if not following.done():
                following.set_result(None)
                return
        self._free += 1
