"""Opens what the settings name and hands it to whoever declares a need for it."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, get_type_hints

import asyncpg

from cartrita.agency.approver import Approver
from cartrita.agency.sessions import Sessions
from cartrita.catalog import AGENTS, Catalog, discover
from cartrita.clock import Clock, SystemClock
from cartrita.config.kinds import text_of
from cartrita.config.settings import Settings
from cartrita.declare import Agent
from cartrita.errors import ConfigurationInvalid
from cartrita.openers.answers import answer_openers
from cartrita.openers.embeddings import BuiltInEmbedder, embedding_openers, far
from cartrita.openers.guarded import flow_openers
from cartrita.openers.huggingface import huggingface_openers
from cartrita.openers.knowledge import knowledge_openers
from cartrita.openers.offer import open_offer
from cartrita.openers.tracing import tracing_openers
from cartrita.openers.vault import reading
from cartrita.openers.web import web_openers
from cartrita.providers.guarded import Flow
from cartrita.providers.offer import Offer
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
from cartrita.providers.ports_charts import Draughtsman
from cartrita.providers.ports_code import Workshop
from cartrita.providers.ports_planning import Planning
from cartrita.providers.ports_sandbox import Sandbox
from cartrita.providers.ports_texts import LanguageDetector
from cartrita.providers.probes import ModelProbe, ProbeSet
from cartrita.rate import Limiter, Name, Quota
from cartrita.spill import Sizes, Spill
from cartrita.storage.blobs import Blobs
from cartrita.storage.counters import Counters
from cartrita.storage.ports import Memories
from cartrita.storage.probes import PostgresProbe, RedisProbe
from cartrita.storage.threads import Checkpoints

Factory = Callable[["Services"], Any | Awaitable[Any]]


class Services:
    """Adapters by the port they implement, opened on first use, closed together.

    Args:
        factories: How to open each port; a factory may ask these services for other ports.
    """

    def __init__(self, factories: Mapping[Any, Factory]) -> None:
        self._factories = dict(factories)
        self._open: dict[Any, Any] = {}

    @property
    def factories(self) -> Mapping[Any, Factory]:
        """How each port is opened."""
        return self._factories

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

    async def find(self, port: Any) -> Any | None:
        """Return the adapter of a port; None where nothing provides it."""
        return await self.get(port) if port in self._factories else None

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


def database_probes(settings: Settings) -> list[Probe]:
    """Return probes of the databases that the settings name."""
    postgres, redis = text_of(settings.postgres.dsn), text_of(settings.redis.dsn)
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
        text_of(chosen.s3_secret),
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


def code_sandbox(settings: Settings) -> Sandbox:
    """Return what runs code that nobody trusts; it tries itself out before its first run."""
    from cartrita.providers.sandbox.bubblewrap import Bubblewrap
    from cartrita.providers.sandbox.walls import MB, Bounds

    chosen = settings.sandbox
    memory, disk = chosen.memory_mb * MB, chosen.disk_mb * MB
    bounds = Bounds(chosen.longest_s, memory, disk, chosen.processes)
    return Bubblewrap(bounds, chosen.parallel, chosen.python)


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

    url = text_of(settings.redis.dsn)
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
        url = text_of(postgres.dsn)
        if url is None:
            raise ConfigurationInvalid("No Postgres is named: set CARTRITA_POSTGRES__URL.")
        cache = postgres.statement_cache_size
        return await asyncpg.create_pool(url, min_size=0, max_size=4, statement_cache_size=cache)

    async def counter(self, services: Services) -> TokenCounter:
        counter: TokenCounter = await services.get(BuiltInEmbedder)
        return counter

    async def summarizer(self, services: Services) -> Summarizer:
        from cartrita.providers.embedded.summarizer import ExtractiveSummarizer

        embedder = await services.get(BuiltInEmbedder)
        return ExtractiveSummarizer(embedder, await services.get(TokenCounter))

    async def classifier(self, services: Services) -> TextClassifier:
        from cartrita.providers.embedded.classifier import EmbeddedClassifier

        return EmbeddedClassifier(await services.get(BuiltInEmbedder))

    async def answerer(self, services: Services) -> QuestionAnswerer:
        from cartrita.providers.embedded.passages import SentenceRetrieval

        return SentenceRetrieval(await services.get(BuiltInEmbedder))

    def sql(self, _services: Services) -> SqlEngine:
        from cartrita.providers.embedded.duck import DuckDb

        return DuckDb()

    def sandbox(self, _services: Services) -> Sandbox:
        return code_sandbox(self._settings)

    async def workshop(self, services: Services) -> Workshop:
        from cartrita.providers.workshop.bench import Bench

        return Bench(await services.get(Sandbox))

    async def chat(self, services: Services) -> ChatModels:
        from cartrita.openers.chat import open_chat_models

        embedder, flow = await services.get(BuiltInEmbedder), await services.get(Flow)
        return open_chat_models(self._settings, embedder, flow)

    async def tools(self, services: Services) -> Toolbox:
        from cartrita.tools.registry import open_toolbox

        return await open_toolbox(services.get, await services.get(Approver))

    async def memories(self, services: Services) -> Memories:
        from cartrita.storage.postgres.memories import PostgresMemories

        return PostgresMemories(await services.get(asyncpg.Pool))

    async def checkpoints(self, services: Services) -> Checkpoints:
        from cartrita.storage.postgres.threads import PostgresCheckpoints

        return PostgresCheckpoints(await services.get(asyncpg.Pool))

    async def approver(self, services: Services) -> Approver:
        from cartrita.storage.postgres.approvals import PostgresApprovals

        return Approver(PostgresApprovals(await services.get(asyncpg.Pool)))

    async def sessions(self, services: Services) -> Sessions:
        from cartrita.storage.postgres.threads import PostgresConversations

        kept = PostgresConversations(await services.get(asyncpg.Pool))
        return Sessions(kept, await services.get(Summarizer), await services.get(TokenCounter))

    def languages(self, _services: Services) -> LanguageDetector:
        from cartrita.providers.embedded.langid import LangId

        return LangId()

    def draughtsman(self, _services: Services) -> Draughtsman:
        from cartrita.providers.charts import Matplotlib

        return Matplotlib()

    def effect_sink(self, _services: Services) -> EffectSink:
        from cartrita.providers.effect_sink import LineSink

        return LineSink(self._settings.home / "chaos.json")

    async def external_agents(self, services: Services) -> ExternalAgents:
        from cartrita.providers.external import HttpAgents
        from cartrita.storage.postgres.external import PostgresRegistry

        return HttpAgents(PostgresRegistry(await services.get(asyncpg.Pool)), SystemClock())

    async def probes(self, services: Services) -> Probes:
        # Every look at one elsewhere would cost something.
        embedder = await services.get(BuiltInEmbedder if far(self._settings) else Embedder)
        return ProbeSet([*database_probes(self._settings), ModelProbe(embedder)])


def open_services(settings: Settings) -> Services:
    """Return what agents are given, opened on first use with what the settings name."""
    return Services(reading(settings, lambda chosen: _plainly(chosen).factories))


def _plainly(settings: Settings) -> Services:
    openers = _Openers(settings)
    return Services(
        {
            asyncpg.Pool: openers.pool,
            TokenCounter: openers.counter,
            Summarizer: openers.summarizer,
            TextClassifier: openers.classifier,
            QuestionAnswerer: openers.answerer,
            SqlEngine: openers.sql,
            Sandbox: openers.sandbox,
            Workshop: openers.workshop,
            ChatModels: openers.chat,
            Toolbox: openers.tools,
            Planning: lambda _services: Planning(settings.agency.replans),
            Catalog: lambda _services: discover(AGENTS),
            Memories: openers.memories,
            Checkpoints: openers.checkpoints,
            Sessions: openers.sessions,
            Approver: openers.approver,
            LanguageDetector: openers.languages,
            Draughtsman: openers.draughtsman,
            Probes: openers.probes,
            EffectSink: openers.effect_sink,
            ExternalAgents: openers.external_agents,
            **knowledge_openers(),
            **flow_openers(settings),
            **web_openers(settings),
            **huggingface_openers(settings),
            **embedding_openers(settings),
            **answer_openers(settings),
            **tracing_openers(settings),
            Offer: lambda _services: open_offer(settings),
        }
    )
