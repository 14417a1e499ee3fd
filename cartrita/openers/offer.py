"""Says which models the settings and the tables offer."""

# ruff: noqa: PLC0415 - a process pays for the adapters that its agents ask for

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cartrita.config.settings import Settings
from cartrita.cost.book import family, price_book
from cartrita.cost.prices import prices_of
from cartrita.cost.traits import trait_book
from cartrita.openers.huggingface import named_models
from cartrita.providers.offer import CHAT, Offer, Offered, Provider
from cartrita.providers.ports import ModelInfo
from cartrita.providers.ports_huggingface import ENABLE, TextKind

WRITES = (CHAT, TextKind.GENERATION, TextKind.TRANSLATION)
EMBEDS = ("feature-extraction", TextKind.SIMILARITY)
OPENAI_SETTING = "models.openai_api_key or models.openai_base_url"


def open_offer(settings: Settings) -> Offer:
    """Return what is on offer; the folder of models is looked at whenever somebody asks."""
    return Offer(
        providers=tuple(_providers(settings)),
        models=lambda: [
            *_chats(settings),
            *_embedders(settings),
            *_hugging_face(settings),
            *_built_in(settings),
        ],
        prices_as_of=price_book().as_of.isoformat(),
    )


def _providers(settings: Settings) -> Iterator[Provider]:
    from cartrita.providers.langchain_models import PACKAGES

    models = settings.models
    yield Provider("openai", _openai(settings), OPENAI_SETTING)
    for name in PACKAGES:
        setting = f"models.{name}_api_key"
        yield Provider(name, getattr(models, f"{name}_api_key") is not None, setting)
    chosen = settings.huggingface
    hub = bool(models.huggingface_api_key or chosen.inference_url or chosen.download or chosen.path)
    yield Provider("huggingface", hub, "models.huggingface_api_key or huggingface.path")
    yield Provider("embedded", configured=True)


def _openai(settings: Settings) -> bool:
    return bool(settings.models.openai_api_key or settings.models.openai_base_url)


def _chats(settings: Settings) -> Iterator[Offered]:
    """Yield the chat models that the settings name, and those whose prices are known."""
    routing = settings.routing
    named = [settings.models.chat_model, *routing.fallbacks]
    configured = {one.key: one for one in _providers(settings)}
    writers = [name for name, price in price_book().models.items() if price.completion]
    for name in dict.fromkeys([*named, *map(_named, writers)]):
        prefix, colon, _ = name.partition(":")
        provider = configured.get(prefix) if colon else None
        provider = provider or configured["openai"]
        known, traits = family(name, price_book().models), trait_book()
        elsewhere = provider.key == "openai" and settings.models.openai_base_url is not None
        able = provider.configured and (name in named or not elsewhere)
        yield Offered(
            name=name,
            provider=provider.key,
            kinds=WRITES,
            available=able,
            generative=True,
            default=provider.configured and name == named[0],
            needs="" if able else provider.setting,
            price=prices_of(settings.budgets.prices).price(name) if known else None,
            traits=traits.traits(name) if family(name, traits.models) else None,
            limitations=("A language model: check what it states.",),
        )


def _embedders(settings: Settings) -> Iterator[Offered]:
    """Yield the models that make vectors for a price; what they write is priced at nothing."""
    from cartrita.providers.openai_embeddings import DEFAULT

    chosen, asked = settings.embeddings, settings.embeddings.provider == "openai"
    for name, price in price_book().models.items():
        if not price.completion:
            used = asked and name == (chosen.model or DEFAULT)
            needs = "" if used else "embeddings.provider and embeddings.model"
            yield Offered(
                name=name,
                provider="openai",
                kinds=EMBEDS,
                available=used,
                generative=False,
                default=used,
                needs=needs,
                price=price,
            )


def _named(known: str) -> str:
    """Return the name by which a family of the price table is asked for."""
    provider = trait_book().traits(known).provider
    return known if provider == "openai" else f"{provider}:{known}"


def _hugging_face(settings: Settings) -> Iterator[Offered]:
    """Yield the models that the settings name for a kind of task, and those in the folder."""
    chosen = settings.huggingface
    kinds: dict[str, list[str]] = {name: [] for name in _folders(chosen.path)}
    here = set(kinds)
    for kind, name in named_models(settings).items():
        kinds.setdefault(name, []).append(kind)
    far = bool(settings.models.huggingface_api_key or chosen.inference_url or chosen.download)
    for name, told in kinds.items():
        able = name in here or far
        yield Offered(
            name=name,
            provider="huggingface",
            kinds=tuple(told),
            available=able,
            generative=TextKind.GENERATION in told,
            default=bool(told),
            needs="" if able else ENABLE,
        )


def _folders(root: Path | None) -> list[str]:
    """Return the models in the folder, by the names that lead to them."""
    if root is None:
        return []
    files = [*root.glob("*/config.json"), *root.glob("*/*/config.json")]
    return sorted(file.parent.relative_to(root).as_posix() for file in files)


def _built_in(settings: Settings) -> Iterator[Offered]:
    """Yield what comes with this version."""
    from cartrita.providers.embedded import sentiment
    from cartrita.providers.embedded.classifier import EmbeddedClassifier
    from cartrita.providers.embedded.langid import LangId
    from cartrita.providers.embedded.minilm import MiniLm
    from cartrita.providers.embedded.passages import SentenceRetrieval
    from cartrita.providers.embedded.summarizer import ExtractiveSummarizer
    from cartrita.providers.embedded.toolrouter import INFO as ROUTER

    chosen, chats = settings.huggingface, any(one.configured for one in _writers(settings))
    made = partial(Offered, provider="embedded", available=True, generative=False)

    def entry(info: ModelInfo, kinds: tuple[str, ...], *, default: bool) -> Offered:
        return made(info.model, kinds=kinds, default=default, limitations=info.limitations)

    yield entry(ROUTER, (CHAT,), default=not chats)
    yield entry(MiniLm.info, EMBEDS, default=settings.embeddings.provider == "builtin")
    yield entry(
        ExtractiveSummarizer.info, (TextKind.SUMMARIZATION,), default=not chosen.summarization
    )
    yield entry(
        EmbeddedClassifier.info, (TextKind.ZERO_SHOT,), default=not chosen.zero_shot_classification
    )
    yield entry(sentiment.INFO, (TextKind.CLASSIFICATION,), default=not chosen.classification)
    yield entry(
        SentenceRetrieval.info, (TextKind.ANSWERING,), default=not chosen.question_answering
    )
    yield entry(LangId.info, ("language-detection",), default=True)


def _writers(settings: Settings) -> Iterator[Provider]:
    """Yield the providers of chat models."""
    others = ("embedded", "huggingface")
    yield from (one for one in _providers(settings) if one.key not in others)
