"""What tools may send to the web."""

from typing import Any, Protocol


class Webhooks(Protocol):
    """Sends to addresses of the public internet."""

    async def send(self, url: str, body: Any, key: str) -> int:
        """Post JSON and return the status of the answer.

        Args:
            url: Where to.
            body: Plain JSON values.
            key: The idempotency key: whoever is sent the same again may know it by that.

        Raises:
            AddressRefused: It is not public; nothing was sent.
            NetworkFailed: It does not answer; it may have heard.
        """
