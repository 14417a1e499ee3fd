"""Opens models of Hugging Face as the settings have them."""

# ruff: noqa: PLC0415 - a process pays for the adapters that its agents ask for

from collections.abc import Callable
from functools import partial
from typing import Any

from cartrita.config.kinds import text_of
from cartrita.config.settings import Settings
from cartrita.providers.guarded import Flow
from cartrita.providers.ports_huggingface import HuggingFace, LocalText, TextKind


def huggingface_openers(settings: Settings) -> dict[Any, Callable[[Any], Any]]:
    """Return how the ports of Hugging Face are opened."""

    async def models(services: Any) -> HuggingFace:
        return open_models(settings, await services.get(Flow))

    return {HuggingFace: models, LocalText: lambda _services: open_local(settings)}


def open_models(settings: Settings, flow: Flow) -> HuggingFace:
    """Return the way to all models of Hugging Face; imports nothing heavy."""
    from cartrita.providers.huggingface.folder import ModelFolder
    from cartrita.providers.huggingface.routes import HuggingFaceModels

    chosen, token = settings.huggingface, text_of(settings.models.huggingface_api_key)
    api = None
    if token or chosen.inference_url:
        from cartrita.providers.huggingface.inference import InferenceApi

        lane = partial(flow.lane, "huggingface")
        api = InferenceApi(token, chosen.inference_url, chosen.inference_timeout_s, lane=lane)
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
