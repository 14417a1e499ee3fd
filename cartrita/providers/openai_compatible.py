"""Opens chat models of OpenAI and of servers that speak its protocol."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from cartrita.cost.book import price_book
from cartrita.cost.prices import Prices
from cartrita.errors import ModelRequired
from cartrita.providers.ports import AUTO, ChatModel, ModelInfo
from cartrita.telemetry.log import traceparent

OFFICIAL = "https://api.openai.com/v1"
CONNECT_SECONDS = 10.0
MOST_OPEN = 64
"""Opened models that are kept, by name and temperature."""

NO_KEY = "none"
"""What a server that wants no key is sent: the SDK insists on one."""


def _trace(request: Any) -> None:
    """Say which trace a call belongs to."""
    if told := traceparent():
        request.headers["traceparent"] = told


async def _trace_async(request: Any) -> None:
    _trace(request)


class OpenAiChatModels:
    """Chat models behind an OpenAI-compatible address.

    Args:
        api_key: Needed by OpenAI; most local servers want none.
        base_url: Such as `http://localhost:11434/v1`; OpenAI's own by default.
        organization: Which OpenAI bills, when the key belongs to several.
        default_model: What is opened when no name is given.
        timeout: Seconds one HTTP call may take; the task's deadline ends it earlier.
        prices: What tokens cost; the shipped table by default.
    """

    def __init__(
        self,
        api_key: str | None,
        base_url: str | None = None,
        organization: str | None = None,
        default_model: str = "gpt-4o",
        timeout: float = 120.0,
        prices: Prices | None = None,
    ) -> None:
        import openai  # noqa: PLC0415 - takes seconds, and only those who have a provider pay

        from cartrita.providers.openai_chat import OpenAiChat  # noqa: PLC0415 - imports it too
        from cartrita.providers.openai_stream import Pace  # noqa: PLC0415

        self._default, self._prices = default_model, prices or price_book()
        patience = openai.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS))
        # Both clients are shared: each has a pool, and making one reads every root certificate.
        self._client = openai.DefaultHttpxClient(
            timeout=patience, event_hooks={"request": [_trace]}
        )
        self._async_client = openai.DefaultAsyncHttpxClient(
            timeout=patience, event_hooks={"request": [_trace_async]}
        )
        self._make: Any = OpenAiChat
        self._settings = {
            "api_key": api_key or NO_KEY,
            "base_url": base_url or OFFICIAL,
            "organization": organization,
            "official": urlsplit(base_url or OFFICIAL).hostname == urlsplit(OFFICIAL).hostname,
            "timeout": patience,
            "stream_chunk_timeout": timeout,
            "max_retries": 0,  # the conversation tries again, within the task's deadline
            "stream_usage": True,
            "use_responses_api": False,
            "pace": Pace(),
            "cache": False,  # a hit repeats the first answer's usage, which would be paid twice
            "http_client": self._client,
            "http_async_client": self._async_client,
        }
        self._open: dict[tuple[str, float | None], ChatModel] = {}

    def open(self, name: str | None, *, temperature: float | None = None) -> ChatModel:
        """Return a model by the provider's name for it; the default for none and for `auto`.

        Whether the provider has it shows when it is called.

        Raises:
            ModelRequired: The name is that of a built-in model.
        """
        model = self._default if name in (None, AUTO) else name
        if model.startswith("local/"):
            raise ModelRequired(f"{model!r} is not at this provider: leave the model out.")
        key = (model, temperature)
        if key not in self._open:
            while len(self._open) >= MOST_OPEN:
                self._open.pop(next(iter(self._open)))
            self._open[key] = self._opened(model, temperature)
        price, found = self._prices.price(model), self._open[key]
        if (found.price_in, found.price_out) != price:  # new, or the price list has changed
            found = replace(found, price_in=price.prompt, price_out=price.completion)
            self._open[key] = found
        return found

    def _opened(self, model: str, temperature: float | None) -> ChatModel:
        return ChatModel(
            model=self._make(model=model, temperature=temperature, **self._settings),
            info=ModelInfo(
                model=model,
                provider="openai",
                generative=True,
                limitations=("A language model: check what it states.",),
            ),
        )

    async def close(self) -> None:
        """Close the connections."""
        self._client.close()
        await self._async_client.aclose()
