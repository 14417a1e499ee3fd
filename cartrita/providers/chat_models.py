"""Chooses between the configured providers and the built-in tool router."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from cartrita.cost.prices import Prices
from cartrita.cost.selection import Option
from cartrita.cost.traits import trait_book
from cartrita.errors import ConfigurationInvalid, ModelRequired
from cartrita.providers.guarded import Flow
from cartrita.providers.lane import ProviderLane
from cartrita.providers.langchain_models import LangChainModels, provider_of
from cartrita.providers.openai_compatible import OpenAiChatModels
from cartrita.providers.ports import AUTO, Candidate, ChatModel, ChatModels, Embedder
from cartrita.providers.ports_chat import Demand
from cartrita.providers.routing import Rules, Step, plan
from cartrita.telemetry.log import get_logger

LOCAL = "local/"
OPENAI = "openai:"
log = get_logger(__name__)


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


class ProviderChatModels:
    """Models of providers, and of the built-in ones those that are named.

    Args:
        rules: Which model answers when.
        flow: How calls go out; None lets them all go.
        openai: Serves every name that belongs to nobody else.
        others: Serves names that begin with a provider.
    """

    def __init__(
        self,
        rules: Rules,
        flow: Flow | None,
        builtin: ChatModels,
        openai: OpenAiChatModels | None,
        others: LangChainModels,
    ) -> None:
        self._rules, self._flow = rules, flow
        self._builtin, self._openai, self._others = builtin, openai, others
        self._traits, self._left_out = trait_book(), set[str]()

    def open(self, name: str | None, *, temperature: float | None = None) -> ChatModel:
        """Return a model; the configured default when no name is given.

        Raises:
            ModelRequired: No provider is configured for it.
            MissingExtra: Its provider's package is not installed.
        """
        if name and name.startswith(LOCAL):
            return self._builtin.open(name, temperature=temperature)
        chosen = self._rules.default if name in (None, AUTO) else name
        first = self._opened(chosen, temperature)
        return replace(first, route=partial(self._route, name, temperature))

    def _opened(self, name: str, temperature: float | None) -> ChatModel:
        if provider_of(name):
            chat = self._others.open(name, temperature=temperature)
        elif self._openai is None:
            raise ModelRequired(
                f"No provider is configured to serve {name!r}: set OPENAI_API_KEY or "
                "OPENAI_BASE_URL, or have models.chat_model name a provider that has a key, "
                "such as 'anthropic:claude-3-haiku'."
            )
        else:
            chat = self._openai.open(name.removeprefix(OPENAI), temperature=temperature)
        if self._flow is None:
            return chat
        info = chat.info
        lane = self._flow.lane(info.provider, info.model.removeprefix(f"{info.provider}:"))
        return replace(chat, lane=lane, hedge_after=self._flow.hedge_after)

    def _route(
        self, name: str | None, temperature: float | None, demand: Demand
    ) -> tuple[Candidate, ...]:
        steps = plan(name, demand, self._rules, self._option, self._traits)
        found = [self._candidate(step, temperature) for step in steps]
        return tuple(candidate for candidate in found if candidate)

    def _candidate(self, step: Step, temperature: float | None) -> Candidate | None:
        try:
            chat = self._opened(step.name, temperature)
        except ConfigurationInvalid as error:
            if step.name not in self._left_out:
                self._left_out.add(step.name)
                log.warning("model_left_out", model=step.name, cause=error.message)
            return None
        return Candidate(chat, step.why, step.to_save)

    def _option(self, name: str) -> Option:
        """Return what is known of a model: from the tables, and from its calls."""
        traits = self._traits.traits(name)
        try:
            chat = self._opened(name, None)
        except ConfigurationInvalid:
            return Option(name, 0.0, 0.0, 0.0, traits.seconds, well=False)
        price = float(chat.usd(1000, 1000))
        option = Option(name, traits.quality, traits.safety, price, traits.seconds)
        if isinstance(chat.lane, ProviderLane):
            option = replace(option, observed=chat.lane.observed, well=chat.lane.well)
        return option

    async def close(self) -> None:
        """Close the connections."""
        if self._openai:
            await self._openai.close()


def chat_models(  # noqa: PLR0913 - each is one thing that settings say
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    organization: str | None = None,
    default_model: str = "gpt-4o",
    timeout: float = 120.0,
    embedder: Embedder | None = None,
    keys: Mapping[str, str] | None = None,
    rules: Rules | None = None,
    flow: Flow | None = None,
    prices: Prices | None = None,
) -> ChatModels:
    """Return providers' models when a key or an address is given, else the tool router."""
    builtin = BuiltinChatModels(embedder)
    if not (api_key or base_url or keys):
        return builtin
    openai = None
    if api_key or base_url:
        openai = OpenAiChatModels(api_key, base_url, organization, default_model, timeout, prices)
    others = LangChainModels(keys or {}, timeout, prices)
    return ProviderChatModels(rules or Rules(default_model), flow, builtin, openai, others)
