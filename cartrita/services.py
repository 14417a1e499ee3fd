"""Opens what the settings name and hands it to whoever declares a need for it."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, get_type_hints

import asyncpg
from pydantic import SecretStr

from cartrita.clock import Clock, SystemClock
from cartrita.config.settings import Settings
from cartrita.cost.prices import prices_of
from cartrita.declare import Agent
from cartrita.errors import ConfigurationInvalid
from cartrita.providers.ports import (
    ChatModels,
    EffectSink,
    Embedder,
    ExternalAgents,
    Probe,
    Probes,
    QuestionAnswerer,
    SqlEngine,
    Summarizer,
    TextClassifier,
    TokenCounter,
    Toolbox,
)
from cartrita.providers.probes import ModelProbe, ProbeSet
from cartrita.rate import Limiter, Name, Quota
from cartrita.spill import Sizes, Spill
from cartrita.storage.blobs import Blobs
from cartrita.storage.counters import Counters
from cartrita.storage.ports import Memories
from cartrita.storage.probes import PostgresProbe, RedisProbe

Factory = Callable[["Services"], Any | Awaitable[Any]]


class Services:
    """Adapters by the port they implement, opened on first use, closed together.

    Args:
        factories: How to open each port; a factory may ask these services for other ports.
    """

    def __init__(self, factories: Mapping[Any, Factory]) -> None:
        self._factories = dict(factories)
        self._open: dict[Any, Any] = {}

    async def get(self, port: Any) -> Any:
        """Return the adapter of a port.

        Raises:
            ConfigurationInvalid: Nothing provides it.
        """
        if port not in self._open:
            factory = self._factories.get(port)
            if factory is None:
                raise ConfigurationInvalid(f"Nothing provides the port {port.__name__!r}.")
            made = factory(self)
            self._open[port] = await made if inspect.isawaitable(made) else made
        return self._open[port]

    def fresh(self) -> "Services":
        """Return services of the same ports with nothing opened yet, as another process has."""
        return Services(self._factories)

    async def build(self, agent: type[Agent]) -> Agent:
        """Make an agent with the ports its constructor's annotations name."""
        if agent.__init__ is object.__init__:
            return agent()
        hints = get_type_hints(agent.__init__)
        hints.pop("return", None)
        try:
            ports = {name: await self.get(port) for name, port in hints.items()}
        except ConfigurationInvalid as error:
            raise ConfigurationInvalid(f"{agent.__name__} cannot start: {error}") from error
        return agent(**ports)

    async def close(self) -> None:
        """Close every adapter that can be closed, the last opened first."""
        once = {id(adapter): adapter for adapter in self._open.values()}  # one may have two ports
        for adapter in reversed(once.values()):
            close = getattr(adapter, "close", None)
            if close is not None:
                done = close()
                if inspect.isawaitable(done):
                    await done
        self._open.clear()


def _text(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def database_probes(settings: Settings) -> list[Probe]:
    """Return probes of the databases that the settings name."""
    postgres, redis = _text(settings.postgres.dsn), _text(settings.redis.dsn)
    found: list[Probe] = [PostgresProbe(postgres)] if postgres else []
    return found + ([RedisProbe(redis)] if redis else [])


def blob_store(settings: Settings, clock: Clock) -> Blobs:
    """Return what keeps blobs.

    Raises:
        MissingExtra: They go to a bucket, and the package for that is not installed.
        ConfigurationInvalid: What names the bucket cannot be used.
    """
    chosen = settings.blobs
    if chosen.s3_bucket is None:
        from cartrita.storage.disk_blobs import DiskBlobs

        return DiskBlobs(chosen.directory or settings.home / "blobs", clock, chosen.quota_bytes)
    from cartrita.storage.s3_blobs import Bucket, S3Blobs

    bucket = Bucket(
        chosen.s3_bucket,
        chosen.s3_endpoint,
        chosen.s3_region,
        chosen.s3_key,
        _text(chosen.s3_secret),
        chosen.s3_prefix,
        chosen.s3_timeout_s,
    )
    return S3Blobs(bucket, clock, chosen.quota_bytes)


def blob_spill(settings: Settings, blobs: Blobs) -> Spill:
    """Return what puts large parameters and results into blobs."""
    limits, chosen = settings.limits, settings.blobs
    sizes = Sizes(
        limits.inline_parameters_bytes,
        limits.inline_result_bytes,
        limits.referenced_parameters_bytes,
        chosen.max_bytes,
    )
    together = bool(chosen.s3_bucket or chosen.directory) or not settings.channel.tcp
    return Spill(blobs, sizes, shared=together)


def rate_limiter(settings: Settings, clock: Clock) -> Limiter:
    """Return what counts requests, with all replicas together where a Valkey is named."""
    limits = settings.limits
    window = limits.rate_window_ms / 1000
    own = _quota("principal", limits.rate_max, window)
    shared = _quota("shared", limits.rate_shared_max, window)
    return Limiter(clock, own, shared, _counters(settings))


def sign_in_limiters(settings: Settings, clock: Clock) -> tuple[Limiter, Limiter]:
    """Return what counts requests without a token by address, and failed sign-ins by account."""
    limits = settings.limits
    address = _quota("address", limits.auth_max, limits.rate_window_ms / 1000)
    account = _quota("account", limits.login_failures, limits.login_window_s)
    by_address = Limiter(clock, address, counters=_counters(settings))
    return by_address, Limiter(clock, account, counters=_counters(settings))


def _quota(name: Name, limit: int, window: float) -> Quota | None:
    return Quota(name, limit, window) if limit else None


def _counters(settings: Settings) -> Counters | None:
    from cartrita.storage.valkey_counters import ValkeyCounters

    url = _text(settings.redis.dsn)
    prefix = f"cartrita:{settings.instance}:rate:"
    return ValkeyCounters(url, prefix=prefix) if url else None


class _Openers:
    """How each port is opened with what the settings name.

    The adapters are imported here, one by one, so that a process pays only for those its
    agents ask for.
    """

    # ruff: noqa: PLC0415

    def __init__(self, settings: Settings) -> None:
        self._settings, self._models = settings, settings.models

    async def pool(self, _services: Services) -> asyncpg.Pool:
        postgres = self._settings.postgres
        url = _text(postgres.dsn)
        if url is None:
            raise ConfigurationInvalid("No Postgres is named: set CARTRITA_POSTGRES__URL.")
        cache = postgres.statement_cache_size
        return await asyncpg.create_pool(url, min_size=0, max_size=4, statement_cache_size=cache)

    def embedder(self, _services: Services) -> Embedder:
        from cartrita.providers.embedded.minilm import MiniLm

        return MiniLm(self._models.embedding_path)

    async def counter(self, services: Services) -> TokenCounter:
        counter: TokenCounter = await services.get(Embedder)
        return counter

    async def summarizer(self, services: Services) -> Summarizer:
        from cartrita.providers.embedded.summarizer import ExtractiveSummarizer

        return ExtractiveSummarizer(await services.get(Embedder), await services.get(TokenCounter))

    async def classifier(self, services: Services) -> TextClassifier:
        from cartrita.providers.embedded.classifier import EmbeddedClassifier

        return EmbeddedClassifier(await services.get(Embedder))

    async def answerer(self, services: Services) -> QuestionAnswerer:
        from cartrita.providers.embedded.passages import SentenceRetrieval

        return SentenceRetrieval(await services.get(Embedder))

    def sql(self, _services: Services) -> SqlEngine:
        from cartrita.providers.embedded.duck import DuckDb

        return DuckDb()

    async def chat(self, services: Services) -> ChatModels:
        from cartrita.providers.chat_models import chat_models

        return chat_models(
            api_key=_text(self._models.openai_api_key),
            base_url=self._models.openai_base_url,
            organization=self._models.openai_organization,
            default_model=self._models.chat_model,
            embedder=await services.get(Embedder),
            prices=prices_of(self._settings.budgets.prices),
        )

    async def tools(self, services: Services) -> Toolbox:
        from cartrita.providers.embedded.toolbox import BuiltinTools

        return BuiltinTools(
            await services.get(Embedder),
            await services.get(Memories),
            await services.get(Summarizer),
            await services.get(TextClassifier),
        )

    async def memories(self, services: Services) -> Memories:
        from cartrita.storage.postgres.memories import PostgresMemories

        return PostgresMemories(await services.get(asyncpg.Pool))

    def effect_sink(self, _services: Services) -> EffectSink:
        from cartrita.providers.effect_sink import LineSink

        return LineSink(self._settings.home / "chaos.json")

    async def external_agents(self, services: Services) -> ExternalAgents:
        from cartrita.providers.external import HttpAgents
        from cartrita.storage.postgres.external import PostgresRegistry

        return HttpAgents(PostgresRegistry(await services.get(asyncpg.Pool)), SystemClock())

    async def probes(self, services: Services) -> Probes:
        embedder = ModelProbe(await services.get(Embedder))
        return ProbeSet([*database_probes(self._settings), embedder])


def open_services(settings: Settings) -> Services:
    """Return what agents are given, opened on first use with what the settings name."""
    openers = _Openers(settings)
    return Services(
        {
            asyncpg.Pool: openers.pool,
            Embedder: openers.embedder,
            TokenCounter: openers.counter,
            Summarizer: openers.summarizer,
            TextClassifier: openers.classifier,
            QuestionAnswerer: openers.answerer,
            SqlEngine: openers.sql,
            ChatModels: openers.chat,
            Toolbox: openers.tools,
            Memories: openers.memories,
            Probes: openers.probes,
            EffectSink: openers.effect_sink,
            ExternalAgents: openers.external_agents,
        }
    )
