"""Sends to addresses that callers and models name."""

from typing import Any

from cartrita.egress.client import Egress


class Hooks:
    """Posts JSON through the one way out.

    Args:
        egress: What may be called, and how.
    """

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def close(self) -> None:
        """Close the connections."""
        await self._egress.close()

    async def send(self, url: str, body: Any, key: str) -> int:
        """Post JSON and return the status of the answer, whatever else it says."""
        headers = {"Idempotency-Key": key}
        answer = await self._egress.ask(
            url, kinds=("*/*",), method="POST", json=body, headers=headers
        )
        return answer.status
