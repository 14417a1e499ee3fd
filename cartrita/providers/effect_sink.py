"""Reaches the sink of a chaos run, by the address it left in the instance's home."""

import json
from pathlib import Path
from typing import Any

import httpx

from cartrita.errors import ServiceUnavailable

TIMEOUT = 10.0


class HttpSink:
    """The sink of whichever chaos run is under way.

    Args:
        file: Where a run writes `{"url", "token"}` for as long as it listens.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._client = httpx.AsyncClient(timeout=TIMEOUT, trust_env=False)

    async def ran(self, task_id: str) -> None:
        """Tell that an attempt of a task began."""
        await self._ask("POST", f"/ran/{task_id}")

    async def hit(self, effect_id: str) -> None:
        """Have the effect."""
        await self._ask("POST", f"/effects/{effect_id}")

    async def hits(self, effect_id: str) -> int:
        """Return how often the effect was had."""
        answer = await self._ask("GET", f"/effects/{effect_id}")
        return int(answer.json()["hits"])

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _ask(self, method: str, path: str) -> httpx.Response:
        try:
            place: dict[str, Any] = json.loads(self._file.read_text())
            headers = {"Authorization": f"Bearer {place['token']}"}
            answer = await self._client.request(method, place["url"] + path, headers=headers)
            return answer.raise_for_status()
        except FileNotFoundError:
            raise ServiceUnavailable(
                "No chaos run is under way: `cartrita chaos run` starts one."
            ) from None
        except (OSError, ValueError, KeyError, httpx.HTTPError) as error:
            raise ServiceUnavailable(f"The sink of the chaos run is away: {error!r}.") from error
