"""Chooses between a configured provider and the built-in tool router."""

from cartrita.cost.prices import Prices
from cartrita.errors import ModelRequired
from cartrita.providers.openai_compatible import OpenAiChatModels
from cartrita.providers.ports import AUTO, ChatModel, ChatModels, Embedder

LOCAL = "local/"


class BuiltinChatModels:
    """The tool router, which is all there is without a provider.

    Args:
        embedder: Lets it compare meanings; without one it goes by rules.
    """

    def __init__(self, embedder: Embedder | None = None) -> None:
        from cartrita.providers.embedded.toolrouter import (  # noqa: PLC0415 - imports LangChain
            INFO,
            ToolRouter,
        )

        self._router = ChatModel(model=ToolRouter(embedder), info=INFO)

    def open(self, name: str | None, *, temperature: float | None = None) -> ChatModel:
        """Return the tool router, which has no temperature.

        Raises:
            ModelRequired: Another model is named.
        """
        if name not in (None, AUTO, self._router.info.model):
            raise ModelRequired(
                f"No provider is configured to serve the model {name!r}. Set OPENAI_API_KEY, or "
                "OPENAI_BASE_URL for a compatible server such as Ollama or vLLM."
            )
        return self._router


class LayeredChatModels:
    """A provider for every name but the built-in ones."""

    def __init__(self, provider: OpenAiChatModels, builtin: ChatModels) -> None:
        self._provider, self._builtin = provider, builtin

    def open(self, name: str | None, *, temperature: float | None = None) -> ChatModel:
        """Return a model; the provider's default when no name is given.

        Raises:
            ModelRequired: The name begins with `local/` and is not built in.
        """
        chosen = self._builtin if name and name.startswith(LOCAL) else self._provider
        return chosen.open(name, temperature=temperature)

    async def close(self) -> None:
        """Close the provider's connections."""
        await self._provider.close()


def chat_models(  # noqa: PLR0913 - each is a setting of its own
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    organization: str | None = None,
    default_model: str = "gpt-4o",
    timeout: float = 120.0,
    embedder: Embedder | None = None,
    prices: Prices | None = None,
) -> ChatModels:
    """Return a provider's models when a key or an address is given, else the tool router."""
    builtin = BuiltinChatModels(embedder)
    if not api_key and not base_url:
        return builtin
    provider = OpenAiChatModels(api_key, base_url, organization, default_model, timeout, prices)
    return LayeredChatModels(provider, builtin)
