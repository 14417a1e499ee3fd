"""Opens models of Hugging Face, and what makes vectors, as the settings have them."""

# ruff: noqa: PLC0415 - a process pays for the adapters that its agents ask for

from collections.abc import Callable
from typing import Any, Protocol

from cartrita.config.kinds import text_of
from cartrita.config.settings import Settings
from cartrita.errors import ConfigurationInvalid
from cartrita.providers.ports import Embedder
from cartrita.providers.ports_huggingface import HuggingFace, LocalText, TextKind


class BuiltInEmbedder(Embedder, Protocol):
    """The embedder that the built-in models are made for, whichever makes vectors to keep."""


def huggingface_openers(settings: Settings) -> dict[Any, Callable[[Any], Any]]:
    """Return how the ports of Hugging Face are opened."""
    return {
        HuggingFace: lambda _services: open_models(settings),
        LocalText: lambda _services: open_local(settings),
        BuiltInEmbedder: lambda _services: open_built_in(settings),
        Embedder: lambda services: open_embedder(settings, services.get),
    }


def open_models(settings: Settings) -> HuggingFace:
    """Return the way to all models of Hugging Face; imports nothing heavy."""
    from cartrita.providers.huggingface.folder import ModelFolder
    from cartrita.providers.huggingface.routes import HuggingFaceModels

    chosen, token = settings.huggingface, text_of(settings.models.huggingface_api_key)
    api = None
    if token or chosen.inference_url:
        from cartrita.providers.huggingface.inference import InferenceApi

        api = InferenceApi(token, chosen.inference_url, chosen.inference_timeout_s)
    return HuggingFaceModels(
        ModelFolder(chosen.path),
        named_models(settings),
        api,
        download=chosen.download,
        chat_ids=settings.models.openai_base_url is not None,
    )


def named_models(settings: Settings) -> dict[TextKind, str]:
    """Return the models that do a kind of task where a caller names none."""
    chosen = settings.huggingface
    named = {
        TextKind.GENERATION: chosen.generation,
        TextKind.SUMMARIZATION: chosen.summarization,
        TextKind.TRANSLATION: chosen.translation,
        TextKind.CLASSIFICATION: chosen.classification,
        TextKind.ZERO_SHOT: chosen.zero_shot_classification,
        TextKind.ANSWERING: chosen.question_answering,
        TextKind.TOKENS: chosen.token_classification,
        TextKind.FILL_MASK: chosen.fill_mask,
        TextKind.SIMILARITY: chosen.sentence_similarity,
    }
    return {kind: name for kind, name in named.items() if name}


def open_local(settings: Settings) -> LocalText:
    """Return what runs models in this process; torch is imported with the first of them."""
    from cartrita.providers.huggingface.folder import ModelFolder
    from cartrita.providers.huggingface.hub import Hub
    from cartrita.providers.huggingface.local import LocalModels

    chosen, hub = settings.huggingface, None
    if chosen.download:
        cache = chosen.cache or settings.home / "huggingface"
        token = text_of(settings.models.huggingface_api_key)
        hub = Hub(cache, token, chosen.hub_url, chosen.most_mb)
    return LocalModels(
        ModelFolder(chosen.path),
        hub,
        threads=chosen.threads,
        most=chosen.most_models,
        most_mb=chosen.most_mb,
    )


def open_built_in(settings: Settings) -> Embedder:
    """Return the built-in embedder."""
    from cartrita.providers.batching import BatchedEmbedder
    from cartrita.providers.embedded.minilm import MiniLm

    return BatchedEmbedder(MiniLm(settings.models.embedding_path))


async def open_embedder(settings: Settings, get: Callable[[Any], Any]) -> Embedder:
    """Return what makes the vectors that are kept.

    Raises:
        ConfigurationInvalid: The settings name a model that is not there, or no length.
    """
    chosen, models = settings.embeddings, settings.models
    if chosen.provider == "folder":
        from cartrita.providers.embedded.encoder import FolderEncoder
        from cartrita.providers.huggingface.folder import ModelFolder

        name = chosen.model or ""
        folder = ModelFolder(settings.huggingface.path).find(name)
        if folder is None:
            raise ConfigurationInvalid(
                f"There is no model {name!r} below huggingface.path, as embeddings.model has it."
            )
        return FolderEncoder(name, folder)
    if chosen.provider == "openai":
        from cartrita.providers.openai_embeddings import OpenAiEmbeddings

        key = text_of(models.openai_api_key)
        return OpenAiEmbeddings(key, models.openai_base_url, chosen.model, chosen.dimensions)
    built_in: Embedder = await get(BuiltInEmbedder)
    return built_in
