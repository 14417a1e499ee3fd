"""Opens what makes the vectors that are kept, and tells what that costs."""

# ruff: noqa: PLC0415 - a process pays for the adapters that its agents ask for

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, Protocol

from cartrita.config.kinds import text_of
from cartrita.config.settings import Settings
from cartrita.cost.fee import Fee
from cartrita.cost.prices import Prices, prices_of
from cartrita.errors import ConfigurationInvalid
from cartrita.providers.guarded import Flow, Guarded
from cartrita.providers.ports import Embedder

FAR = ("openai", "huggingface")
"""Providers that texts leave for."""

UNKNOWN = "text-embedding-3-large"
"""What a model costs that the price book does not have: as much as the dearest it has."""

PATIENCE = 5.0
"""Seconds that a provider may ask to wait before it is asked again."""


class BuiltInEmbedder(Embedder, Protocol):
    """The embedder that the built-in models are made for, whichever makes vectors to keep."""


def embedding_openers(settings: Settings) -> dict[Any, Callable[[Any], Any]]:
    """Return how embedders are opened."""
    return {
        BuiltInEmbedder: lambda _services: open_built_in(settings),
        Embedder: lambda services: open_embedder(settings, services.get),
    }


def far(settings: Settings) -> bool:
    """Tell whether texts leave to be embedded, which costs."""
    return settings.embeddings.provider in FAR


def open_built_in(settings: Settings) -> Embedder:
    """Return the built-in embedder."""
    from cartrita.providers.batching import CountingBatches
    from cartrita.providers.embedded.minilm import MiniLm

    return CountingBatches(MiniLm(settings.models.embedding_path))


async def open_embedder(settings: Settings, get: Callable[[Any], Any]) -> Embedder:
    """Return what makes the vectors that are kept.

    Raises:
        ConfigurationInvalid: The settings name a model that is not there, or no length.
    """
    provider = settings.embeddings.provider
    if provider == "folder":
        return _open_folder(settings)
    if far(settings):
        from cartrita.providers.far_embeddings import FarEmbeddings

        server, fee = _server(settings), embedding_fee(settings)
        assert fee
        flow: Flow = await get(Flow)
        # Apart from its chat models, which take longer and have limits of their own.
        lane = flow.lane(f"{provider}-embeddings", server.info.model)
        after = settings.embeddings.hedge_after_s
        return FarEmbeddings(server, Guarded(lane, hedge_after=after, patience=PATIENCE), fee)
    built_in: Embedder = await get(BuiltInEmbedder)
    return built_in


def _open_folder(settings: Settings) -> Embedder:
    from cartrita.providers.batching import BatchedEmbedder
    from cartrita.providers.embedded.encoder import FolderEncoder
    from cartrita.providers.huggingface.folder import ModelFolder

    name = settings.embeddings.model or ""
    folder = ModelFolder(settings.huggingface.path).find(name)
    if folder is None:
        raise ConfigurationInvalid(
            f"There is no model {name!r} below huggingface.path, as embeddings.model has it."
        )
    return BatchedEmbedder(FolderEncoder(name, folder))


def _server(settings: Settings) -> Any:
    chosen, models = settings.embeddings, settings.models
    if chosen.provider == "openai":
        from cartrita.providers.openai_embeddings import OpenAiEmbeddings

        key = text_of(models.openai_api_key)
        return OpenAiEmbeddings(key, models.openai_base_url, chosen.model, chosen.dimensions)
    from cartrita.providers.huggingface.vectors import InferenceVectors

    token, url = text_of(models.huggingface_api_key), settings.huggingface.inference_url
    return InferenceVectors(token, chosen.model, chosen.dimensions, url)


def embedding_fee(settings: Settings) -> Fee | None:
    """Return what it costs to embed texts; None where that costs nothing."""
    if not far(settings):
        return None
    from cartrita.providers.openai_embeddings import DEFAULT, DIMENSIONS, READS

    chosen = settings.embeddings
    model = chosen.model or DEFAULT
    usd = partial(_usd, prices_of(settings.budgets.prices), model)
    reads = READS if chosen.provider == "openai" and model in DIMENSIONS else None
    return Fee(usd, reads, 1 if chosen.hedge_after_s is None else 2)


def _usd(prices: Prices, model: str) -> Decimal:
    return prices.price(model, UNKNOWN).prompt
