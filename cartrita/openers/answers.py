"""Opens what keeps answers, and the rules about personal data."""

# ruff: noqa: PLC0415 - a process pays for the adapters that its agents ask for

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import asyncpg

from cartrita.answers import Answers, Terms, TieredAnswers
from cartrita.clock import SystemClock
from cartrita.config.settings import Settings
from cartrita.openers.embeddings import BuiltInEmbedder, far
from cartrita.privacy.masking import Rules
from cartrita.providers.ports import Embedder
from cartrita.storage.memory_answers import InMemoryShelf
from cartrita.turns import Turns


def answer_openers(settings: Settings) -> dict[Any, Callable[[Any], Any]]:
    """Return how they are opened; without a life for answers nothing keeps any."""
    openers: dict[Any, Callable[[Any], Any]] = {Rules: lambda _services: privacy_rules(settings)}
    if settings.limits.cache_timeout_s:
        openers[Answers] = partial(open_answers, settings)
    return openers


def privacy_rules(settings: Settings) -> Rules:
    """Return what is done about personal data."""
    chosen = settings.privacy
    return Rules(chosen.pii, chosen.unmask, chosen.phone_region)


async def open_answers(settings: Settings, services: Any) -> Answers:
    """Return what keeps answers: in this process, in Valkey and in Postgres, where named."""
    clock, chosen = SystemClock(), settings.cache
    region = settings.privacy.phone_region
    terms = Terms(settings.limits.cache_timeout_s, chosen.own_s, chosen.similarity, region)
    shelf, meanings, turns = None, None, None
    if settings.redis.dsn:
        from cartrita.storage.valkey_answers import ValkeyShelf

        prefix = f"cartrita:{settings.instance}:answer:"
        shelf = ValkeyShelf(settings.redis.dsn.get_secret_value(), clock, prefix=prefix)
        turns = _turns(settings, settings.redis.dsn.get_secret_value())
    if settings.postgres.dsn and chosen.similarity < 1:
        from cartrita.storage.postgres.answers import PostgresMeanings

        meanings = PostgresMeanings(await services.get(asyncpg.Pool), clock)
    own = InMemoryShelf(clock, chosen.entries)
    # One elsewhere would be sent every question, and paid, to find out that it is new.
    embedder = partial(services.get, BuiltInEmbedder if far(settings) else Embedder)
    return TieredAnswers(
        terms,
        clock,
        own,
        shelf=shelf,
        meanings=meanings,
        embedder=embedder,
        models=models_of(settings),
        turns=turns,
    )


def _turns(settings: Settings, url: str) -> Turns | None:
    """Return what has one host work on what several are asked; None where each shall."""
    if not settings.cache.wait_s:
        return None
    from cartrita.storage.valkey_leases import ValkeyLeases

    leases = ValkeyLeases(url, SystemClock(), prefix=f"cartrita:{settings.instance}:lease:")
    return Turns(leases, settings.cache.wait_s)


def models_of(settings: Settings) -> str:
    """Return a name of the models that the settings choose; secrets are no part of it."""
    return hashlib.blake2b(settings.models.model_dump_json().encode(), digest_size=8).hexdigest()
