"""Opens what keeps answers, and the rules about personal data."""

# ruff: noqa: PLC0415 - a process pays for the adapters that its agents ask for

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import asyncpg

from cartrita.answers import Answers, Terms, TieredAnswers
from cartrita.catalog import Catalog
from cartrita.clock import Clock, SystemClock
from cartrita.config.settings import Settings
from cartrita.openers.embeddings import BuiltInEmbedder, far
from cartrita.privacy.masking import Rules
from cartrita.providers.ports import Embedder
from cartrita.storage.answers import Meanings, Shelf
from cartrita.storage.memory_answers import InMemoryShelf
from cartrita.turns import Turns


def answer_openers(settings: Settings) -> dict[Any, Callable[[Any], Any]]:
    """Return how they are opened; without a life for answers nothing keeps any."""
    openers: dict[Any, Callable[[Any], Any]] = {
        Rules: lambda _services: privacy_rules(settings),
    }
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
    by_meaning = settings.postgres.dsn and chosen.similarity < 1
    meanings = _meanings(await services.get(asyncpg.Pool), clock) if by_meaning else None
    return TieredAnswers(
        terms,
        clock,
        InMemoryShelf(clock, chosen.entries),
        shelf=_shelf(settings, clock),
        meanings=meanings,
        # One elsewhere would be sent every question, and paid, to find out that it is new.
        embedder=partial(services.get, BuiltInEmbedder if far(settings) else Embedder),
        models=models_of(settings),
        turns=_turns(settings),
    )


def eraser(settings: Settings, pool: asyncpg.Pool) -> TieredAnswers:
    """Return what all processes keep answers in, also where the settings keep none any more."""
    clock = SystemClock()
    own, shelf = InMemoryShelf(clock), _shelf(settings, clock)
    return TieredAnswers(Terms(), clock, own, shelf=shelf, meanings=_meanings(pool, clock))


def lasting(settings: Settings, catalog: Catalog) -> float:
    """Return the seconds for which a host may give from its memory what was erased elsewhere."""
    usual = settings.limits.cache_timeout_s
    kept = [spec.cacheable for spec in catalog.tasks.values() if spec.cacheable]
    if not usual:
        return 0.0
    if settings.redis.dsn:  # hosts ask it anew
        return settings.cache.own_s
    return max((one.seconds or usual for one in kept), default=0.0)


def _shelf(settings: Settings, clock: Clock) -> Shelf | None:
    if not settings.redis.dsn:
        return None
    from cartrita.storage.valkey_answers import ValkeyShelf

    prefix = f"cartrita:{settings.instance}:answer:"
    return ValkeyShelf(settings.redis.dsn.get_secret_value(), clock, prefix=prefix)


def _meanings(pool: asyncpg.Pool, clock: Clock) -> Meanings:
    from cartrita.storage.postgres.answers import PostgresMeanings

    return PostgresMeanings(pool, clock)


def _turns(settings: Settings) -> Turns | None:
    """Return what has one host work on what several are asked; None where each shall."""
    if not (settings.redis.dsn and settings.cache.wait_s):
        return None
    from cartrita.storage.valkey_leases import ValkeyLeases

    prefix = f"cartrita:{settings.instance}:lease:"
    leases = ValkeyLeases(settings.redis.dsn.get_secret_value(), SystemClock(), prefix=prefix)
    return Turns(leases, settings.cache.wait_s)


def models_of(settings: Settings) -> str:
    """Return a name of the models that the settings choose; secrets are no part of it."""
    return hashlib.blake2b(settings.models.model_dump_json().encode(), digest_size=8).hexdigest()
