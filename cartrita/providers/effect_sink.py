"""Reaches the sink of a chaos run, by the address it left in the instance's home."""

import asyncio
import json
from pathlib import Path
from typing import Any

from cartrita.errors import ServiceUnavailable

TIMEOUT = 10.0


class LineSink:
    """The sink of whichever chaos run is under way, one line for each question and answer.

    Args:
        file: Where a run writes `{"port", "token"}` for as long as it listens.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._turn = asyncio.Lock()
        self._place = ""
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ran(self, task_id: str) -> None:
        """Tell that an attempt of a task began."""
        await self._ask("ran", task_id)

    async def hit(self, effect_id: str) -> None:
        """Have the effect."""
        await self._ask("hit", effect_id)

    async def hits(self, effect_id: str) -> int:
        """Return how often the effect was had."""
        return await self._ask("hits", effect_id)

    def close(self) -> None:
        """Hang up."""
        if self._line:
            self._line[1].close()
        self._line = None

    async def _ask(self, verb: str, name: str) -> int:
        async with self._turn:
            try:
                async with asyncio.timeout(TIMEOUT):
                    reader, writer = await self._connected()
                    writer.write(f"{verb} {name}\n".encode())
                    return int(await reader.readline())
            except FileNotFoundError:
                raise ServiceUnavailable(
                    "No chaos run is under way: `cartrita chaos run` starts one."
                ) from None
            except (OSError, ValueError, LookupError) as error:
                self.close()
                raise ServiceUnavailable(
                    f"The sink of the chaos run is away: {error!r}."
                ) from error
            except BaseException:  # who comes next must not read this answer
                self.close()
                raise

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection to the run of now: each has a place of its own."""
        place = self._file.read_text()
        if self._line is None or place != self._place:
            self.close()
            found: dict[str, Any] = json.loads(place)
            self._line = await asyncio.open_connection("127.0.0.1", found["port"])
            self._line[1].write(f"{found['token']}\n".encode())
            self._place = place
        return self._line
