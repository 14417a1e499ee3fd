"""Sends something to the outside world."""

from typing import Any

from pydantic import Field

from cartrita.context import Context
from cartrita.providers.ports_hooks import Webhooks
from cartrita.tools.declare import Input, Tools, tool


class WebhookInput(Input):
    """Where to send what."""

    url: str = Field(min_length=1, max_length=2048, description="http or https.")
    body: dict[str, Any] = Field(description="Sent as JSON.")


class HookTools(Tools):
    """Webhooks."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    @tool("webhook_send", agents=("langchain",), changes=True)
    async def send(self, given: WebhookInput, ctx: Context, key: str) -> str:
        """Post JSON to a public address, once somebody has approved it."""
        status = await self._webhooks.send(given.url, given.body, key)
        return f"It answered {status}."
